"""Decompress an archive in order, with the ranges of the file that cannot be read."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fastwarc.stream_io import Lz4Reader, ZstdReader

from pipeline.io.store import open_file
from schemas.errors import PathError
from schemas.storage import file_system

BLOCK_BYTES = 64 << 10
MAX_REQUESTS = 16  # concurrent


def open_source(path: str) -> "ArchiveFile":
    """Open a local path or an fsspec URL. Raises: PathError as open_file."""
    return ArchiveFile(open_file(path), path)


class ArchiveFile:
    """A seekable file, or its part before `end`, with the methods of a stream for FastWARC."""

    def __init__(self, file: BinaryIO, name: str, end: int | None = None) -> None:
        self.name = name
        self.position = file.tell()
        self._file = file
        self._end = end
        self._last = b""  # the last read's data, so that reading it again needs no seek
        self._file_position = self.position

    def until(self, end: int | None) -> "ArchiveFile":
        """Return a view of the same file that ends at an offset. Only the newest view may be read."""
        return ArchiveFile(self._file, self.name, end)

    @property
    def file(self) -> BinaryIO:
        """The underlying file, for a library that seeks by itself."""
        return self._file

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        if self._end is not None:
            size = max(0, min(size, self._end - self.position))
        behind = self._file_position - self.position
        data = self._last[-behind:][:size] if behind else b""
        if len(data) < size:
            self._last = data + self._read_file(size - len(data))
            data = self._last
            self._file_position = self.position + len(data)
        self.position += len(data)
        return data

    def _read_file(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            return b""  # a damaged member of a zip ends here
        except Exception as error:
            raise PathError(f"{self.name}: cannot be read: {error or type(error).__name__}") from error

    def seek(self, offset: int) -> None:
        if not 0 <= self._file_position - offset <= len(self._last):
            try:
                self._file.seek(offset)
            except Exception as error:
                raise PathError(f"{self.name}: does not support random access ({error}); download it first") from error
            self._file_position, self._last = offset, b""
        self.position = offset

    def tell(self) -> int:
        return self.position

    def close(self) -> None:
        self._file.close()


def is_remote(name: str) -> bool:
    return "://" in name


def identify_source(archive: str) -> dict[str, str | int]:
    """Return a file's identity: its size [bytes], and its ETag or modification time, as far as known.

    Needs at most one request for a remote file.
    """
    try:
        if not is_remote(archive):
            status = Path(archive).stat()
            return {"num_bytes": status.st_size, "modified": status.st_mtime_ns}
        store, path = file_system(archive)
        info = {name.lower(): value for name, value in store.info(path).items()}
    except Exception:  # each remote file system raises errors of its own; reading the file will report them
        return {}
    times = (info.get(name) for name in ("last-modified", "lastmodified", "last_modified", "mtime", "updated"))
    found = {
        "num_bytes": info.get("size"),
        "etag": info.get("etag"),
        "modified": next((str(time) for time in times if time), None),
    }
    return {name: value for name, value in found.items() if value is not None}


def is_replaced(before: Mapping[str, str | int], now: Mapping[str, str | int]) -> bool:
    """Return whether a file's identity differs, by the properties known of both.

    The modification time only counts without an ETag: a copy on another server has its own.
    """
    known = [name for name in ("num_bytes", "etag", "modified") if name in before and name in now]
    if "etag" in known and "modified" in known:
        known.remove("modified")
    return any(before[name] != now[name] for name in known)


def find_replaced(sources: Mapping[str, Mapping[str, str | int]]) -> list[str]:
    """Return the archives whose identity differs from the one that `identify_source` returned before."""
    with ThreadPoolExecutor(MAX_REQUESTS) as threads:
        now = threads.map(identify_source, sources)
        return [archive for (archive, before), found in zip(sources.items(), now, strict=True)
                if is_replaced(before, found)]  # fmt: skip


OpenReader = Callable[[Any], Any]
GZIP = b"\x1f\x8b\x08"
LZ4 = b"\x04\x22\x4d\x18"
ZSTD = b"\x28\xb5\x2f\xfd"
SKIPPABLE = re.compile(
    rb"[\x50-\x5f]\x2a\x4d\x18"
)  # in Zstandard and LZ4: RFC 8878, section 3.1.2; LZ4 frame format, 1.6
DICTIONARY = b"\x5d\x2a\x4d\x18"
RAW_DICTIONARY = b"\x37\xa4\x30\xec"
MAX_DICTIONARY_BYTES = 8 << 20
MAX_STEP_BITS = 12
MAX_SKIPPABLE = 1000  # skippable frames before the first one with data
PADDING = b"\r\n\0"
PROBE_BYTES = 2 << 10
FRAME_READ_BYTES = 4 << 10

# The start of a record: WARC's version line and a header; ARC's line with URL, IP address, date, type and length.
RECORD_START = re.compile(
    rb"^(?:WARC/\d\.\d{1,2}[ \r]*\n[A-Za-z-]{1,64}[ \t]*:"
    rb"|[a-z]{2,16}:\S{1,8000} (?:\d{1,3}(?:\.\d{1,3}){3}|[\dA-Fa-f]{0,4}:[\dA-Fa-f:.]{1,45})"
    rb" \S{1,20} \S{0,200} \S{1,20}\r?\n)",
    re.MULTILINE,
)


class Piece(NamedTuple):
    member: int  # offset in the file of its compressed member; for an uncompressed file, where reading began
    data: bytes


class Damage(NamedTuple):
    offset: int
    end: int
    detail: str


Pieces = Iterator[Piece | Damage]


def read_pieces(source: ArchiveFile, start: int, begin: int = 0) -> Pieces:
    """Decompress a file from an offset on; the format is detected from its bytes.

    Args: begin is the offset of the archive in the file, which may have a Zstandard dictionary there.
    Source: "Zstandard Compression for WARC Files 1.0" of the IIPC.
    """
    for magic, open_reader in ((LZ4, Lz4Reader), (ZSTD, ZstdReader)):
        if _begins_frames(source, start, magic):
            dictionary = _read_dictionary(source, begin) if magic == ZSTD else None
            opener = partial(ZstdReader, dictionary=dictionary) if dictionary else open_reader
            if _is_framed(source, start, magic, opener):
                return _read_frames(source, start, magic, opener)
    source.seek(start)
    probe = source.read(PROBE_BYTES)
    if probe.startswith(GZIP) and _inflate_start(probe):
        return _read_gzip(source, start)
    if not RECORD_START.match(probe.lstrip(PADDING)) and _next_member(source, start)[1]:
        return _read_gzip(source, start)  # an archive with a damaged beginning
    return _read_plain(source, start)


def _begins_frames(source: ArchiveFile, start: int, magic: bytes) -> bool:
    """Return whether a frame with a magic number begins at an offset, after skippable frames."""
    at = start
    for _ in range(MAX_SKIPPABLE):
        source.seek(at)
        if source.read(len(magic)) == magic:
            return True
        if not (at := _skippable_end(source, at)):
            return False
    return False


def _skippable_end(source: ArchiveFile, position: int) -> int:
    """Return the end of the skippable frame at an offset; 0 without one."""
    source.seek(position)
    head = source.read(8)
    is_skippable = len(head) == 8 and SKIPPABLE.match(head)
    return position + 8 + int.from_bytes(head[4:], "little") if is_skippable else 0


def _read_dictionary(source: ArchiveFile, begin: int) -> bytes | None:
    """Return the dictionary, plain or compressed, in an archive's first skippable frame; None without one.

    Source: the same, "Dictionary frame format", and "Window and dictionary limits" for the maximum size.
    """
    source.seek(begin)
    head = source.read(8)
    size = int.from_bytes(head[4:], "little")
    if not head.startswith(DICTIONARY) or not 4 <= size <= MAX_DICTIONARY_BYTES:
        return None
    data = bytearray()
    while len(data) < size and (part := source.read(size - len(data))):
        data += part
    dictionary = bytes(data)
    try:
        if dictionary.startswith(ZSTD):
            dictionary = ZstdReader(io.BytesIO(dictionary)).read(MAX_DICTIONARY_BYTES + 1)
        if not dictionary.startswith(RAW_DICTIONARY) or len(dictionary) > MAX_DICTIONARY_BYTES:
            return None
        ZstdReader(io.BytesIO(), dictionary=dictionary)
    except BaseException as error:
        if not (isinstance(error, OSError) or is_panic(error)):
            raise
        return None
    return dictionary


def is_panic(error: BaseException) -> bool:
    """Return whether an error is a Rust panic in FastWARC, e.g. on a damaged dictionary; it is not an Exception."""
    return type(error).__name__ == "PanicException"


def _read_plain(source: ArchiveFile, start: int) -> Pieces:
    source.seek(start)
    while data := source.read(BLOCK_BYTES):
        yield Piece(start, data)


def _read_gzip(source: ArchiveFile, start: int) -> Pieces:
    source.seek(start)
    data = source.read(BLOCK_BYTES)
    num_faults = 0  # consecutive
    while data := _skip_padding(source, data):
        member = source.position - len(data)
        inflater = zlib.decompressobj(wbits=31)
        fault = ""
        while not inflater.eof and not fault:
            before = inflater.copy()  # an error discards the output of the same call
            try:
                inflated = inflater.decompress(data, BLOCK_BYTES)
            except zlib.error as error:
                fault = str(error)
                break
            yield Piece(member, inflated)
            data = inflater.unconsumed_tail
            if not data and not inflater.eof and not (data := source.read(BLOCK_BYTES)) and not inflated:
                fault = "the file ends within a gzip member"
        if not fault:
            num_faults = 0
            data = inflater.unused_data or source.read(BLOCK_BYTES)
            continue
        # After a truncated member, some bytes of the next one decompress as its data: search from before the error.
        data_begin = source.position - len(data)
        # Many overlapping members may fail at the same place: increase the step exponentially.
        step = 1 << min(num_faults, MAX_STEP_BITS)
        num_faults += 1
        end, _ = _next_member(source, max(member + step, data_begin - BLOCK_BYTES))
        for inflated in _salvage(before, data[: max(0, end - data_begin)]):
            yield Piece(member, inflated)
        yield Damage(member, end, fault)
        source.seek(end)
        data = source.read(BLOCK_BYTES)


def _skip_padding(source: ArchiveFile, data: bytes) -> bytes:
    """Return data without leading padding, reading more if there is only padding; b"" at the file's end."""
    while data and not (data := data.lstrip(PADDING)):
        data = source.read(BLOCK_BYTES)
    return data


def _salvage(inflater: Any, data: bytes) -> Iterator[bytes]:
    """Decompress all data before an error, to the byte, by bisection."""
    size = len(data)
    while size and not inflater.eof:  # at its end a stream still has an unconsumed tail
        trial = inflater.copy()
        try:
            inflated = trial.decompress(data[:size], BLOCK_BYTES)
        except zlib.error:
            size //= 2
            continue
        yield inflated
        inflater, data = trial, trial.unconsumed_tail + data[size:]
        size = min(size, len(data))


def _next_member(source: ArchiveFile, position: int) -> tuple[int, bool]:
    """Return the offset of the next gzip member that begins with a record, and True; else the file's end, and False."""
    source.seek(position)
    block = source.read(BLOCK_BYTES)
    while block:
        at = block.find(GZIP)
        while at >= 0:
            if len(block) - at < PROBE_BYTES:
                block += source.read(BLOCK_BYTES)
            if RECORD_START.match(_inflate_start(block[at : at + PROBE_BYTES])):
                return source.position - len(block) + at, True
            at = block.find(GZIP, at + 1)
        data = source.read(BLOCK_BYTES)
        block = block[1 - len(GZIP) :] + data if data else b""
    return source.position, False


def _inflate_start(compressed: bytes) -> bytes:
    return b"".join(_salvage(zlib.decompressobj(wbits=31), compressed))


def _is_framed(source: ArchiveFile, start: int, magic: bytes, open_reader: OpenReader) -> bool:
    source.seek(start)
    try:
        return bool(open_reader(source).read(1))
    except OSError:
        return _next_magic(source, start + 1, magic)[1]


def _read_frames(source: ArchiveFile, start: int, magic: bytes, open_reader: OpenReader) -> Pieces:
    # FastWARC joins frames and, on an error, drops the output of the same read, which is then read again bytewise.
    source.seek(start)
    reader, passed, step, num_failures = open_reader(source), 0, FRAME_READ_BYTES, 0
    while True:
        try:
            data = reader.read(step)
        except OSError as error:
            if step == 1:
                frame = max(reader.frame_start_position() or 0, start)
                if end := _skippable_end(source, frame):  # FastWARC only skips those of Zstandard
                    start, passed, step = end, 0, FRAME_READ_BYTES
                    source.seek(start)
                    reader = open_reader(source)
                    continue
                num_failures = num_failures + 1 if passed == 0 else 0
                # consecutive failures: increase the step, or a file full of magic numbers would take days
                end, is_frame = _next_magic(source, frame + (1 << min(num_failures, 20)), magic)
                yield Damage(frame, end, str(error))
                if not is_frame:
                    return
                start, passed, step = end, 0, FRAME_READ_BYTES
            else:
                step = 1
            source.seek(start)
            reader = open_reader(source)
            remaining = passed
            while remaining > 0 and (data := reader.read(FRAME_READ_BYTES)):
                remaining -= len(data)
            continue
        if not data:
            return
        passed += len(data)
        yield Piece(start, data)


def _next_magic(source: ArchiveFile, position: int, magic: bytes) -> tuple[int, bool]:
    """Return the offset of the next frame, and True; else the file's end, and False."""
    source.seek(position)
    block = b""
    while data := source.read(BLOCK_BYTES):
        block = block[1 - len(magic) :] + data
        if (at := block.find(magic)) >= 0:
            return source.position - len(block) + at, True
    return source.position, False
