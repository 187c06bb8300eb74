"""Read the selected responses of an archive, with a row for each rejected response and unreadable range."""

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO, NamedTuple, cast

from pipeline.media_types import HTML_TYPES, XHTML, XML_TYPES, is_binary, sniff_html
from pipeline.warc.http import Message, TooLarge, decode_body, decode_undeclared, parse_message
from pipeline.warc.records import MAX_HEAD_BYTES, ArchivePosition, ByteWindow, Gap, Record, read_records
from pipeline.warc.stream import ArchiveFile, is_panic, open_source, read_pieces
from schemas.display import describe
from schemas.errors import WeftError

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-?(?P<month>\d\d)(?:-?(?P<day>\d\d)(?:[T ]?(?P<hour>\d\d)"
    r"(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,]\d+)?)?)?)?)?)?"
    r"(?:(?<=\d)(?P<sign>[+-])(?P<zone_hours>\d\d):?(?P<zone_minutes>\d\d))?"
)


def to_utc(text: str) -> str:
    """Return a WARC-Date or an ARC date as YYYY-MM-DDTHH:MM:SSZ, or "" when it is invalid.

    ISO 8601 with or without separators, fractions (dropped) and zone; missing parts of a date are its start.

    >>> to_utc("2014-01"), to_utc("20080430204825"), to_utc("2014-02-10T00:00:01.5+01:00"), to_utc("null")
    ('2014-01-01T00:00:00Z', '2008-04-30T20:48:25Z', '2014-02-09T23:00:01Z', '')
    """
    match = _DATE.match(text.strip())
    if match is None:
        return ""
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups()[:6])
    try:
        moment = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=UTC)
        if match["sign"]:
            ahead = timedelta(hours=int(match["zone_hours"]), minutes=int(match["zone_minutes"]))
            moment += -ahead if match["sign"] == "+" else ahead
    except (ValueError, OverflowError):
        return ""
    return moment.replace(tzinfo=None).isoformat() + "Z"


MAGIC = b"PK\x03\x04"
LOCAL_HEADER_BYTES = 30


class Part(NamedTuple):
    """An archive in a zip. A stored one is read in place, a deflated one from its beginning."""

    source: ArchiveFile
    begin: int  # offset in the source
    end: int
    entry: int | None  # offset of a deflated one's entry in the zip


def list_parts(source: ArchiveFile) -> Iterator[Part | Gap]:
    """Yield the archives in a zip, in the order of its directory, without unpacking to disk.

    Raises: zipfile.BadZipFile, before the first one, when the zip's directory is missing or damaged, or declares more
        bytes than the file has (overlapping entries, as in a zip bomb).
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
            sizes = source.file.read(4)  # of the name and the extra field, which precede the data
            begin = source.file.tell() + int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little")
            end = begin + entry.file_size
            yield Part(source.until(end), begin, end, None)
        else:
            yield Part(ArchiveFile(file, source.name), 0, entry.file_size, entry.header_offset)


def scan(path: str, hold_bytes: int, start: int = 0) -> Iterator[Record | Gap]:
    """Yield all records of a WARC, ARC or WACZ (detected by content), and all gaps between them.

    Args: hold_bytes limits a record's block, and thus memory; start is the `place.member` of a record from an earlier
    scan, to begin there.
    Raises: PathError when the file cannot be opened or read; invalid content does not raise.
    """
    with closing(open_source(path)) as source:
        is_zip = source.read(len(MAGIC)) == MAGIC
        if is_zip:
            try:
                for part in list_parts(source):
                    yield from [part] if isinstance(part, Gap) else _scan_part(part, hold_bytes, start)
                return
            except zipfile.BadZipFile:
                source = source.until(None)  # without directory, records are found by their magic numbers
        yield from _read(source, start, hold_bytes)


def _scan_part(part: Part, hold_bytes: int, start: int) -> Iterator[Record | Gap]:
    if part.entry is None:
        if start < part.end:
            yield from _read(part.source, max(start, part.begin), hold_bytes, part.begin)
    elif start <= part.entry:
        for item in _read(part.source, part.begin, hold_bytes):
            if isinstance(item, Record):
                yield replace(item, place=ArchivePosition(part.entry, item.place.offset))
            else:
                yield replace(item, offset=part.entry + item.offset)
        if part.source.position < part.end:
            yield Gap(part.entry, part.end - part.source.position, "an entry of the zip cannot be decompressed")


def _read(source: ArchiveFile, start: int, hold_bytes: int, begin: int = 0) -> Iterator[Record | Gap]:
    return read_records(ByteWindow(partial(read_pieces, source, begin=begin), start), hold_bytes)


Wanted = Callable[[int, str, str], bool]
RESPONSES = ("response", "resource")


@dataclass(frozen=True, slots=True)
class Response:
    """A captured response. offset is that of its record in the file; if a compressed member holds several records, the
    member's offset plus the record's offset in the decompressed member."""

    url: str
    captured_at: str  # YYYY-MM-DDTHH:MM:SSZ; "" if unknown
    offset: int
    status: int
    content_type: str  # lower case, without parameters; "" if unknown
    charset: str | None  # of the HTTP header, lower case
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A rejected range of an archive or part of a response; `rule` is one of schemas/reasons.py."""

    offset: int
    length: int | None  # bytes, see Gap; None for the complete record or file
    rule: str
    detail: str
    url: str = ""


def is_page(status: int, content_type: str, url: str) -> bool:
    """Return whether a response is an HTML page with status 200."""
    return status == 200 and content_type in HTML_TYPES


def read_archive(
    path: str, wanted: Wanted = is_page, max_body_bytes: int = 10_000_000
) -> Iterator[Response | Unreadable]:
    """Yield the responses of an archive in order, and a row for each range that could not be read.

    Reads WARC, ARC and WACZ, plain or compressed, from a local path or an fsspec URL. Yields `response` records, and
    `resource` records as responses with status 200; skips other kinds. `wanted` gets the status, the content type (""
    if unknown) and the URL. A body above `max_body_bytes` is replaced by a row, and so is an unwanted response that is
    not HTML. An invalid response is yielded up to its fault, with a row that describes it.
    Raises: PathError when the file cannot be opened or read; invalid content does not raise.
    """
    kinds: Counter[str] = Counter()
    passed: Gap | None = None
    for item in _scan(path, max_body_bytes + MAX_HEAD_BYTES):
        if isinstance(item, Gap) and kinds:
            yield _unreadable(item)
        elif isinstance(item, Gap):  # the file may not be an archive
            passed = Gap(passed.offset, item.offset + item.length - passed.offset, passed.detail) if passed else item
        else:
            if passed and not kinds:
                yield _unreadable(passed)
            kinds[item.kind] += 1
            yield from _read_record(item, wanted, max_body_bytes)
    if not kinds:
        detail = "no WARC, ARC or WACZ record in the file" if passed else "the file is empty"
        yield Unreadable(0, None, "NOT_AN_ARCHIVE", detail)
    elif not any(kinds[kind] for kind in RESPONSES):
        found = ", ".join(f"{num} {kind or 'without type'}" for kind, num in kinds.most_common(8))
        yield Unreadable(0, None, "NO_RESPONSE", f"no response among its records: {found}"[:500])


def _scan(path: str, hold_bytes: int) -> Iterator[Record | Gap]:
    """Scan an archive; an error caused by its content ends the scan with a gap."""
    end = 0
    try:
        for item in scan(path, hold_bytes):
            end = item.place.offset if isinstance(item, Record) else item.offset + item.length
            yield item
    except BaseException as error:
        if not _is_caused_by_content(error):
            raise
        yield Gap(end, 0, f"reading stops after this offset: {describe(error)}")


def _is_caused_by_content(error: BaseException) -> bool:
    """Return whether an error is caused by an archive's content, not by the machine or the user."""
    return is_panic(error) or (isinstance(error, Exception) and not isinstance(error, (WeftError, MemoryError)))


def _unreadable(gap: Gap) -> Unreadable:
    return Unreadable(gap.offset, gap.length, "UNREADABLE", gap.detail)


def _read_record(record: Record, wanted: Wanted, max_body_bytes: int) -> Iterator[Response | Unreadable]:
    try:
        if record.kind in RESPONSES:
            yield from _read_response(record, wanted, max_body_bytes)
        elif record.kind == "continuation":
            yield _row(record, "UNREADABLE", "a segment of a record; segments are not supported")
        elif not record.kind:
            yield _row(record, "UNREADABLE", "a record without WARC-Type")
    except BaseException as error:  # an error must only cost its record
        if not _is_caused_by_content(error):
            raise
        yield _row(record, "UNREADABLE", describe(error))
    if record.gap:
        yield Unreadable(record.gap.offset, record.gap.length, "TRUNCATED_RECORD", record.gap.detail, record.url)


def _row(record: Record, rule: str, detail: str) -> Unreadable:
    return Unreadable(record.place.offset, None, rule, detail, record.url)


def _read_response(record: Record, wanted: Wanted, max_body_bytes: int) -> Iterator[Response | Unreadable]:
    if not record.url:
        yield _row(record, "NO_URL", "a response without WARC-Target-URI")
        return
    message = parse_message(record)
    if message is None:
        yield _row(record, "BAD_HTTP", "no HTTP status line")
        return
    declared = message.content_type
    is_known = bool(declared) and declared not in XML_TYPES
    if is_known and not wanted(message.status, declared, record.url):
        yield from _not_html(record, declared, declared[:200])
        return
    try:
        body, fault = _decode(record, message, max_body_bytes)
    except TooLarge:
        if declared in XML_TYPES:
            yield _row(record, "NOT_HTML", f"{declared}, and more than {max_body_bytes} bytes")
        else:
            yield _row(record, "TOO_LARGE", f"a body of more than {max_body_bytes} bytes")
        return
    found = _type_by_bytes(message, body)
    if not is_known and not wanted(message.status, found, record.url):
        yield from _not_html(record, found, found or "no known type, and the bytes are not HTML")
    elif found in HTML_TYPES and is_binary(body):
        yield _row(record, "BINARY_BODY", f"{found}, but the body is not text{f'; {fault}' if fault else ''}")
    else:
        yield from _respond(record, message, found, body, fault)


def _not_html(record: Record, content_type: str, detail: str) -> Iterator[Unreadable]:
    """Yield a row for an unwanted response, unless it is HTML."""
    if content_type not in HTML_TYPES:
        yield _row(record, "NOT_HTML", detail)


def _respond(
    record: Record, message: Message, content_type: str, body: bytes, fault: str
) -> Iterator[Response | Unreadable]:
    """Yield the response, unless a fault left it empty, and a row for its fault."""
    is_complete = not (fault or record.gap)
    if body or is_complete:
        status, charset, headers = message.status, message.charset, message.headers
        captured_at = to_utc(record.headers.get("warc-date", ""))
        yield Response(record.url, captured_at, record.place.offset, status, content_type, charset, headers, body)
    truncated = record.headers.get("warc-truncated")
    if is_complete and truncated:
        detail = f"WARC-Truncated: {truncated[:100]}: the crawler stored only a part of the response"
        yield _row(record, "TRUNCATED_RECORD", detail)
    if fault and not record.gap:  # a truncated record has its own row
        yield _row(record, "BAD_HTTP", fault)


def _decode(record: Record, message: Message, max_bytes: int) -> tuple[bytes, str]:
    if len(record.block) < record.num_bytes and not record.gap:
        raise TooLarge
    body, fault = decode_body(message, max_bytes)
    if fault or message.content_type not in ("", *HTML_TYPES):
        return body, fault
    return decode_undeclared(body, max_bytes)


def _type_by_bytes(message: Message, body: bytes) -> str:
    """Return the declared type, or else the one of the bytes; XHTML declared as XML is XHTML."""
    if message.content_type in XML_TYPES:
        return XHTML if sniff_html(body) == XHTML else message.content_type
    options = message.values("x-content-type-options")
    may_sniff = not options or options[0].partition(",")[0].strip().lower() != "nosniff"
    return message.content_type or (sniff_html(body) if may_sniff else "")
