"""The responses in an archive that are wanted, decoded; and a row for every other response and all that is unreadable.

No response is passed over in silence: each comes out, or leaves a row that says why not.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.read.archive import scan
from pipeline.read.dates import to_utc
from pipeline.read.message import Message, TooLarge, decode_body, decode_undeclared, parse_message
from pipeline.read.mime import HTML_TYPES, XHTML, XML_TYPES, is_binary, sniff_html
from pipeline.read.records import MAX_HEAD_BYTES, Gap, Record
from pipeline.read.stream import is_panic
from schemas.display import describe
from schemas.errors import WeftError

Wanted = Callable[[int, str, str], bool]
RESPONSES = ("response", "resource")


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
    `resource` records as responses with status 200; other kinds are passed over. `wanted` gets the status, the content
    type ("" where neither headers nor bytes tell) and the address. A body above `max_body_bytes` gives a row alone, and
    so does what is not wanted and no HTML. A response with a fault comes out as far as it goes, and a row says so.
    Raises: PathError when the file cannot be opened or read; nothing that it holds raises.
    """
    kinds: Counter[str] = Counter()
    passed: Gap | None = None
    for item in _scan(path, max_body_bytes + MAX_HEAD_BYTES):
        if isinstance(item, Gap) and kinds:
            yield _unreadable(item)
        elif isinstance(item, Gap):  # not yet told from a file that is no archive at all
            passed = Gap(passed.offset, item.offset + item.length - passed.offset, passed.detail) if passed else item
        else:
            if passed and not kinds:
                yield _unreadable(passed)
            kinds[item.kind] += 1
            yield from _read_record(item, wanted, max_body_bytes)
    if not kinds:
        detail = "no record of WARC, ARC or WACZ in it" if passed else "nothing in it"
        yield Unreadable(0, None, "NOT_AN_ARCHIVE", detail)
    elif not any(kinds[kind] for kind in RESPONSES):
        found = ", ".join(f"{num} {kind or 'of no type'}" for kind, num in kinds.most_common(8))
        yield Unreadable(0, None, "NO_RESPONSE", f"no response among its records: {found}"[:500])


def _scan(path: str, hold_bytes: int) -> Iterator[Record | Gap]:
    """Scan an archive; what raises on its bytes ends it there, with a gap that says so."""
    end = 0
    try:
        for item in scan(path, hold_bytes):
            end = item.place.offset if isinstance(item, Record) else item.offset + item.length
            yield item
    except BaseException as error:
        if not _comes_of_bytes(error):
            raise
        yield Gap(end, 0, f"reading stops behind here: {describe(error)}")


def _comes_of_bytes(error: BaseException) -> bool:
    """Tell whether an archive's bytes raised this, and not the machine or a person."""
    return is_panic(error) or (isinstance(error, Exception) and not isinstance(error, (WeftError, MemoryError)))


def _unreadable(gap: Gap) -> Unreadable:
    return Unreadable(gap.offset, gap.length, "UNREADABLE", gap.detail)


def _read_record(record: Record, wanted: Wanted, max_body_bytes: int) -> Iterator[Response | Unreadable]:
    offset, url = record.place.offset, record.url
    try:
        if record.kind in RESPONSES:
            yield from _read_response(record, wanted, max_body_bytes)
        elif record.kind == "continuation":
            yield Unreadable(offset, None, "UNREADABLE", "a segment of a record; segments are not joined", url)
        elif not record.kind:
            yield Unreadable(offset, None, "UNREADABLE", "a record without WARC-Type", url)
    except BaseException as error:  # one record costs itself, never the archive
        if not _comes_of_bytes(error):
            raise
        yield Unreadable(offset, None, "UNREADABLE", describe(error), url)
    if record.gap:
        yield Unreadable(record.gap.offset, record.gap.length, "TRUNCATED_RECORD", record.gap.detail, url)


def _read_response(record: Record, wanted: Wanted, max_body_bytes: int) -> Iterator[Response | Unreadable]:
    offset, url = record.place.offset, record.url

    def row(rule: str, detail: str) -> Unreadable:
        return Unreadable(offset, None, rule, detail, url)

    if not url:
        yield row("NO_ADDRESS", "a response without WARC-Target-URI")
        return
    message = parse_message(record)
    if message is None:
        yield row("BAD_HTTP", "no HTTP status line")
        return
    content_type = message.content_type
    is_known = bool(content_type) and content_type not in XML_TYPES
    if is_known and not wanted(message.status, content_type, url):
        if content_type not in HTML_TYPES:
            yield row("NOT_HTML", content_type[:200])
        return
    try:
        if len(record.block) < record.num_bytes and not record.gap:
            raise TooLarge
        body, fault = _decode(message, max_body_bytes)
    except TooLarge:
        if content_type in XML_TYPES:
            yield row("NOT_HTML", f"{content_type}, and more than {max_body_bytes} bytes")
        else:
            yield row("TOO_LARGE", f"a body of more than {max_body_bytes} bytes")
        return
    content_type = _type_by_bytes(message, body)
    if not is_known and not wanted(message.status, content_type, url):
        if content_type not in HTML_TYPES:
            yield row("NOT_HTML", content_type or "no type that is known, and the bytes do not begin a page")
        return
    if content_type in HTML_TYPES and is_binary(body):
        yield row("BINARY_BODY", f"{content_type}, but the body is no text{f'; {fault}' if fault else ''}")
        return
    if body or not (fault or record.gap):
        captured_at = to_utc(record.headers.get("warc-date", ""))
        yield Response(url, captured_at, offset, message.status, content_type, message.charset, message.headers, body)
        if (cut := record.headers.get("warc-truncated")) and not (fault or record.gap):
            yield row("TRUNCATED_RECORD", f"WARC-Truncated: {cut[:100]}: the crawler kept a part of the response")
    if fault and not record.gap:  # of a record that is cut short, its own row tells
        yield row("BAD_HTTP", fault)


def _decode(message: Message, max_bytes: int) -> tuple[bytes, str]:
    body, fault = decode_body(message, max_bytes)
    if fault or message.content_type not in ("", *HTML_TYPES):
        return body, fault
    return decode_undeclared(body, max_bytes)


def _type_by_bytes(message: Message, body: bytes) -> str:
    """Return the declared type, or what the bytes show where none is; a page of XHTML sent as XML is XHTML."""
    if message.content_type in XML_TYPES:
        return XHTML if sniff_html(body) == XHTML else message.content_type
    options = message.values("x-content-type-options")
    may_sniff = not options or options[0].partition(",")[0].strip().lower() != "nosniff"
    return message.content_type or (sniff_html(body) if may_sniff else "")
