"""WACZ: a zip whose archive/ folder holds WARC files, which are read where they stand."""

import zipfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from pipeline.read.records import Gap
from pipeline.read.source import Source

MAGIC = b"PK\x03\x04"
LOCAL_HEADER_BYTES = 30


class Part(NamedTuple):
    """An archive in a zip. A stored one is read in place; a deflated one from its beginning on."""

    source: Source
    begin: int  # where it begins in the source
    end: int
    entry: int | None  # of a deflated one the offset of its entry in the zip


def list_parts(source: Source) -> Iterator[Part | Gap]:
    """Yield the archives in a zip, in the order of its directory; names only choose, nothing is unpacked to disk.

    Raises zipfile.BadZipFile, before the first of them, when the zip's directory is missing or damaged, or claims more
    bytes than the file has (entries that overlap, by which a small zip poses as a huge one).
    """
    try:
        zipped = zipfile.ZipFile(source.file)
    except (NotImplementedError, ValueError, OverflowError, RuntimeError) as error:
        raise zipfile.BadZipFile(str(error)) from error
    entries = [entry for entry in zipped.infolist() if entry.filename.startswith("archive/") and not entry.is_dir()]
    if sum(entry.compress_size for entry in entries) > source.file.seek(0, 2):
        raise zipfile.BadZipFile("entries of the zip overlap")
    for entry in entries:
        try:
            file = cast(BinaryIO, zipped.open(entry))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError) as error:
            yield Gap(max(entry.header_offset, 0), entry.compress_size, f"an entry of the zip: {error}")
            continue
        if entry.compress_type == zipfile.ZIP_STORED:
            source.file.seek(entry.header_offset + LOCAL_HEADER_BYTES - 4)
            sizes = source.file.read(4)  # of the name and the extra field, which stand before the data
            begin = source.file.tell() + int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little")
            end = begin + entry.file_size
            yield Part(source.until(end), begin, end, None)
        else:
            yield Part(Source(file, source.name), 0, entry.file_size, entry.header_offset)
