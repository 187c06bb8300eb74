"""Open an archive, whatever its form, and read its records; each is a Record, and what belongs to none a Gap."""

import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

from pipeline.read.records import Gap, Record, read_records
from pipeline.read.source import Source, open_source
from pipeline.read.stream import read_pieces
from pipeline.read.wacz import MAGIC, Part, list_parts
from pipeline.read.window import Place, Window


def scan(path: str, hold_bytes: int, start: int = 0) -> Iterator[Record | Gap]:
    """Yield every record of a WARC, ARC or WACZ, told apart by content, and every gap between them.

    `hold_bytes` bounds what is kept of a record's block, and with it the memory. `start` is the `place.member` of a
    record from an earlier scan, to begin there.
    Raises: PathError when the file cannot be opened or read; nothing that it holds raises.
    """
    with closing(open_source(path)) as source:
        is_zip = source.read(len(MAGIC)) == MAGIC
        if is_zip:
            try:
                for part in list_parts(source):
                    yield from [part] if isinstance(part, Gap) else _scan_part(part, hold_bytes, start)
                return
            except zipfile.BadZipFile:
                source = source.until(None)  # without its directory: what stands in it is found by its own marks
        yield from _read(source, start, hold_bytes)


def _scan_part(part: Part, hold_bytes: int, start: int) -> Iterator[Record | Gap]:
    if part.entry is None:
        if start < part.end:
            yield from _read(part.source, max(start, part.begin), hold_bytes, part.begin)
    elif start <= part.entry:
        for item in _read(part.source, part.begin, hold_bytes):
            if isinstance(item, Record):
                yield replace(item, place=Place(part.entry, item.place.offset))
            else:
                yield replace(item, offset=part.entry + item.offset)
        if part.source.position < part.end:
            yield Gap(part.entry, part.end - part.source.position, "an entry of the zip does not decompress")


def _read(source: Source, start: int, hold_bytes: int, begin: int = 0) -> Iterator[Record | Gap]:
    return read_records(Window(partial(read_pieces, source, begin=begin), start), hold_bytes)
