"""One Parquet part of a table: its bytes are those that were written, and its rows can be read."""

import zlib
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store import Store
from pipeline.verify.defect import Defect
from schemas.display import describe
from schemas.sums import Sum, difference

_CRC_MAGIC = b"crc\0"
_CRC_PAGE_BYTES = 4


def check_part(root: str, path: str, step: str, deep: bool, said: Sum | None) -> tuple[int, list[Defect]]:
    """Return a part's rows by its footer, and what is wrong with it; if deep, every page of it is read.

    said is the sum in its manifest; None where an older release wrote none: then the pages' checksums are all there is.
    """
    store = Store(root)
    try:
        if said and (what := difference(store.sum(path), said)):
            return 0, [Defect(path, what, step=step)]
        with store.fs.open(store.at(path), "rb") as file:
            part = pq.ParquetFile(file, page_checksum_verification=True)
            num_rows = part.metadata.num_rows
            if deep:
                for _ in part.iter_batches(256):
                    pass
        return num_rows, []
    except FileNotFoundError:
        return 0, [Defect(path, "is not there", step=step)]
    except (OSError, ValueError, pa.ArrowException) as error:
        return 0, [Defect(path, f"cannot be read: {describe(error, 200)}", step=step)]


def check_crc(root: str, path: str, step: str) -> list[Defect]:
    """Return what is wrong with a checksum file `.NAME.crc` that Hadoop keeps beside a local file, and reads it by.

    It holds "crc", a zero, the size of a chunk in 4 bytes, and the CRC-32 of each chunk (Hadoop, ChecksumFileSystem).
    """
    store = Store(root)
    folder, _, name = path.rpartition("/")
    try:
        sums = store.fs.cat_file(store.at(path))
        with store.fs.open(store.at(folder, name[1:].removesuffix(".crc")), "rb") as file:
            sound = sums[:4] == _CRC_MAGIC and sums[4:] == sums[4:8] + _crcs(file, int.from_bytes(sums[4:8], "big"))
    except (OSError, ValueError) as error:
        return [Defect(path, f"cannot be read: {describe(error, 200)}", step=step)]
    what = "does not belong to the file beside it, which Spark then refuses to read"
    return [] if sound else [Defect(path, what, step=step)]


def _crcs(file: BinaryIO, chunk_bytes: int) -> bytes:
    """Return the CRC-32 of each chunk of a file. Raises: ValueError for a size that no Hadoop writes."""
    if chunk_bytes.bit_count() != 1 or chunk_bytes > 1 << 20:
        raise ValueError(f"chunks of {chunk_bytes} bytes")
    found = bytearray()
    while data := file.read(chunk_bytes * 1024):
        for start in range(0, len(data), chunk_bytes):
            found += zlib.crc32(data[start : start + chunk_bytes]).to_bytes(_CRC_PAGE_BYTES, "big")
    return bytes(found)
