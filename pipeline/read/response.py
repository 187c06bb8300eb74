"""The responses in an archive that are wanted, decoded; and a row for all that could not be read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.read.archive import scan
from pipeline.read.dates import to_utc
from pipeline.read.message import Message, TooLarge, decode_body, parse_message
from pipeline.read.records import MAX_HEAD_BYTES, Gap, Record

Wanted = Callable[[int, str, str], bool]
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, slots=True)
class Response:
    """A captured response. Its offset is that of its record in the file; where one compressed member holds several
    records, the member's, plus where in the decompressed member the record begins."""

    url: str
    captured_at: str  # YYYY-MM-DDTHH:MM:SSZ; "" where the archive does not say
    offset: int
    status: int
    content_type: str  # lower case, without parameters; "" where unknown
    charset: str | None  # as the HTTP header has it, lower case
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stretch of an archive, or a part of a response, that was left behind; `rule` is one of schemas/reasons.py."""

    offset: int
    length: int | None  # bytes, see Gap; None where it is the whole record or file
    rule: str
    detail: str
    url: str = ""


def is_page(status: int, content_type: str, url: str) -> bool:
    """Want HTML that was answered with 200: what a person saw as a page."""
    return status == 200 and content_type in HTML_TYPES


def read_archive(
    path: str, wanted: Wanted = is_page, max_body_bytes: int = 10_000_000
) -> Iterator[Response | Unreadable]:
    """Yield the responses of an archive in its order, and a row for every stretch that could not be read.

    Reads WARC, ARC and WACZ, plain or compressed, from a local path or an fsspec URL. `response` records come out, and
    `resource` records as responses with status 200; other kinds are passed over. `wanted` is asked, with the status,
    the content type and the address, before a body is decoded. A body above `max_body_bytes` gives a row alone.
    A response with a fault comes out as far as it goes, and a row says so.
    Raises: PathError when the file cannot be opened or read; nothing that it holds raises.
    """
    is_archive = False
    passed: Gap | None = None
    for item in scan(path, max_body_bytes + MAX_HEAD_BYTES):
        if isinstance(item, Gap) and is_archive:
            yield _unreadable(item)
        elif isinstance(item, Gap):  # not yet told from a file that is no archive at all
            passed = Gap(passed.offset, item.offset + item.length - passed.offset, passed.detail) if passed else item
        else:
            if passed and not is_archive:
                yield _unreadable(passed)
            is_archive = True
            yield from _read_record(item, wanted, max_body_bytes)
    if not is_archive:
        detail = "no record of WARC, ARC or WACZ in it" if passed else "nothing in it"
        yield Unreadable(0, None, "NOT_AN_ARCHIVE", detail)


def _unreadable(gap: Gap) -> Unreadable:
    return Unreadable(gap.offset, gap.length, "UNREADABLE", gap.detail)


def _read_record(record: Record, wanted: Wanted, max_body_bytes: int) -> Iterator[Response | Unreadable]:
    offset, url = record.place.offset, record.url
    if record.kind in ("response", "resource"):
        message = parse_message(record)
        if message is None:
            yield Unreadable(offset, None, "BAD_HTTP", "no HTTP status line", url)
        elif wanted(message.status, message.content_type, url):
            yield from _decode(record, message, max_body_bytes)
    elif record.kind == "continuation":
        yield Unreadable(offset, None, "UNREADABLE", "a segment of a record; segments are not joined", url)
    if record.gap:
        yield Unreadable(record.gap.offset, record.gap.length, "TRUNCATED_RECORD", record.gap.detail, url)


def _decode(record: Record, message: Message, max_body_bytes: int) -> Iterator[Response | Unreadable]:
    offset, url = record.place.offset, record.url
    try:
        if len(record.block) < record.num_bytes and not record.gap:
            raise TooLarge
        body, fault = decode_body(message, max_body_bytes)
    except TooLarge:
        yield Unreadable(offset, None, "TOO_LARGE", f"a body of more than {max_body_bytes} bytes", url)
        return
    if body or not (fault or record.gap):
        yield Response(
            url,
            to_utc(record.headers.get("warc-date", "")),
            offset,
            message.status,
            message.content_type,
            message.charset,
            message.headers,
            body,
        )
    if fault and not record.gap:  # of a record that is cut short, its own row tells
        yield Unreadable(offset, None, "BAD_HTTP", fault, url)
