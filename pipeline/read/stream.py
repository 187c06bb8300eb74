"""The bytes of an archive, decompressed in order; where they cannot be, the stretch of the file that was passed over.

FastWARC's readers stop for good at the first byte that does not decompress, say nothing of a last member that is cut
off, and do not tell where a member ends. Gzip, in which nearly every archive comes, is therefore walked member by
member here; LZ4 and Zstandard go through FastWARC and are taken up again at their next frame.
"""

import io
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from fastwarc.stream_io import Lz4Reader, ZstdReader

from pipeline.read.source import BLOCK_BYTES, Source

OpenReader = Callable[[Any], Any]
GZIP = b"\x1f\x8b\x08"
LZ4 = b"\x04\x22\x4d\x18"
ZSTD = b"\x28\xb5\x2f\xfd"
SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # of both: RFC 8878, section 3.1.2; LZ4 frame format, 1.6
DICTIONARY = b"\x5d\x2a\x4d\x18"
RAW_DICTIONARY = b"\x37\xa4\x30\xec"
MAX_DICTIONARY_BYTES = 8 << 20
MAX_STEP_BITS = 12
MAX_SKIPPABLE = 1000  # frames before the first with data
PADDING = b"\r\n\0"
PROBE_BYTES = 2 << 10
FRAME_READ_BYTES = 4 << 10

# The first line of a record: WARC's version and a header after it; ARC's address, IP address, date, type and length.
RECORD_START = re.compile(
    rb"^(?:WARC/\d\.\d{1,2}[ \r]*\n[A-Za-z-]{1,64}[ \t]*:"
    rb"|[a-z]{2,16}:\S{1,8000} (?:\d{1,3}(?:\.\d{1,3}){3}|[\dA-Fa-f]{0,4}:[\dA-Fa-f:.]{1,45})"
    rb" \S{1,20} \S{0,200} \S{1,20}\r?\n)",
    re.MULTILINE,
)


class Piece(NamedTuple):
    member: int  # offset in the file of the compressed member that holds it; of a plain file, where reading began
    data: bytes


class Damage(NamedTuple):
    offset: int
    end: int
    detail: str


Pieces = Iterator[Piece | Damage]


def read_pieces(source: Source, start: int, begin: int = 0) -> Pieces:
    """Decompress a file from an offset on, in whatever form its bytes, not its name, show it to be.

    `begin` is where the archive itself begins in the file: a dictionary of Zstandard is looked for there.
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
        return _read_gzip(source, start)  # an archive whose beginning is damaged
    return _read_plain(source, start)


def _begins_frames(source: Source, start: int, magic: bytes) -> bool:
    """Tell whether a frame of a kind begins at an offset, skippable ones before it passed over."""
    at = start
    for _ in range(MAX_SKIPPABLE):
        source.seek(at)
        if source.read(len(magic)) == magic:
            return True
        if not (at := _skippable_end(source, at)):
            return False
    return False


def _skippable_end(source: Source, position: int) -> int:
    """Return where the skippable frame at an offset ends; 0 where none begins."""
    source.seek(position)
    head = source.read(8)
    is_skippable = len(head) == 8 and SKIPPABLE.match(head)
    return position + 8 + int.from_bytes(head[4:], "little") if is_skippable else 0


def _read_dictionary(source: Source, begin: int) -> bytes | None:
    """Return the dictionary in the skippable frame at the beginning of an archive, plain or compressed; None if none.

    Source: the same, "Dictionary frame format", and for the greatest size "Window and dictionary limits".
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
    """Tell whether FastWARC's Rust panicked, as it does over a damaged dictionary; a panic is no Exception."""
    return type(error).__name__ == "PanicException"


def _read_plain(source: Source, start: int) -> Pieces:
    source.seek(start)
    while data := source.read(BLOCK_BYTES):
        yield Piece(start, data)


def _read_gzip(source: Source, start: int) -> Pieces:
    source.seek(start)
    data = source.read(BLOCK_BYTES)
    num_faults = 0  # in a row
    while True:
        while data and not (data := data.lstrip(PADDING)):
            data = source.read(BLOCK_BYTES)
        if not data:
            return
        member = source.position - len(data)
        inflater = zlib.decompressobj(wbits=31)
        fault = ""
        while not inflater.eof and not fault:
            before = inflater.copy()  # an error discards what came before it in the same call
            try:
                inflated = inflater.decompress(data, BLOCK_BYTES)
            except zlib.error as error:
                fault = str(error)
                break
            yield Piece(member, inflated)
            data = inflater.unconsumed_tail
            if not data and not inflater.eof and not (data := source.read(BLOCK_BYTES)) and not inflated:
                fault = "the file ends within a gzip member"
        num_faults = num_faults + 1 if fault else 0
        if fault:
            # The bytes after a cut pass for a part of the cut member for a while: look a little before the error.
            data_begin = source.position - len(data)
            # Many that begin one within another may all fail at one place: ever fewer of them are tried.
            step = 1 << min(num_faults - 1, MAX_STEP_BITS)
            end, _ = _next_member(source, max(member + step, data_begin - BLOCK_BYTES))
            for inflated in _salvage(before, data[: max(0, end - data_begin)]):
                yield Piece(member, inflated)
            yield Damage(member, end, fault)
            source.seek(end)
        data = (b"" if fault else inflater.unused_data) or source.read(BLOCK_BYTES)


def _salvage(inflater: Any, data: bytes) -> Iterator[bytes]:
    """Inflate what comes before an error, to the byte, by halving what is offered."""
    size = len(data)
    while size and not inflater.eof:  # at its end a stream still shows a tail that it will never take
        trial = inflater.copy()
        try:
            inflated = trial.decompress(data[:size], BLOCK_BYTES)
        except zlib.error:
            size //= 2
            continue
        yield inflated
        inflater, data = trial, trial.unconsumed_tail + data[size:]
        size = min(size, len(data))


def _next_member(source: Source, position: int) -> tuple[int, bool]:
    """Return the offset of the next gzip member that opens a record, and True; or the file's end, and False."""
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


def _is_framed(source: Source, start: int, magic: bytes, open_reader: OpenReader) -> bool:
    source.seek(start)
    try:
        return bool(open_reader(source).read(1))
    except OSError:
        return _next_magic(source, start + 1, magic)[1]


def _read_frames(source: Source, start: int, magic: bytes, open_reader: OpenReader) -> Pieces:
    # FastWARC joins frames and, on an error, drops what the same read had decompressed: that is read again by the byte.
    source.seek(start)
    reader, passed, step, num_failures = open_reader(source), 0, FRAME_READ_BYTES, 0
    while True:
        try:
            data = reader.read(step)
        except OSError as error:
            if step == 1:
                frame = max(reader.frame_start_position() or 0, start)
                if end := _skippable_end(source, frame):  # FastWARC passes over those of Zstandard alone
                    start, passed, step = end, 0, FRAME_READ_BYTES
                    source.seek(start)
                    reader = open_reader(source)
                    continue
                num_failures = num_failures + 1 if passed == 0 else 0
                # one after another they are no frames: look ever farther on, or a file of mere marks would take days
                end, is_frame = _next_magic(source, frame + (1 << min(num_failures, 20)), magic)
                yield Damage(frame, end, str(error))
                if not is_frame:
                    return
                start, passed, step = end, 0, FRAME_READ_BYTES
            else:
                step = 1
            source.seek(start)
            reader = open_reader(source)
            again = passed
            while again > 0 and (data := reader.read(FRAME_READ_BYTES)):
                again -= len(data)
            continue
        if not data:
            return
        passed += len(data)
        yield Piece(start, data)


def _next_magic(source: Source, position: int, magic: bytes) -> tuple[int, bool]:
    """Return the offset of the next frame, and True; or the file's end, and False."""
    source.seek(position)
    block = b""
    while data := source.read(BLOCK_BYTES):
        block = block[1 - len(magic) :] + data
        if (at := block.find(magic)) >= 0:
            return source.position - len(block) + at, True
    return source.position, False
