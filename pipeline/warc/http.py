"""HTTP messages: status, headers, media type, decoded body and directives for robots."""

import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import brotli
from fastwarc.stream_io import ZstdReader
from selectolax.lexbor import LexborHTMLParser

from pipeline.media_types import UNKNOWN_TYPES, MimeType, extract_mime_type, sniff_html
from pipeline.warc.records import HEAD_END, Record, parse_headers
from schemas.recipe import DIRECTIVES

BLANK = re.compile(rb"[\r\n\t \0]*")
STATUS_LINE = re.compile(rb"(?:HTTP/\d{1,2}(?:\.\d{1,2})?|ICY)[ \t]+(\d{3})(?!\d)[^\n]*", re.IGNORECASE)
CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
MAX_CODINGS = 4
STEP_BYTES = 16 << 10

Headers = list[tuple[str, str]]


class TooLarge(Exception):
    """A body exceeds the limit; raised and caught within the pipeline."""


@dataclass(frozen=True, slots=True)
class Message:
    """A captured HTTP response, or a resource record, which is treated as one with status 200."""

    status: int
    headers: Headers
    content_type: str  # lower case, without parameters; "" if it is only known from the body
    charset: str | None
    body: bytes  # still encoded
    is_http: bool

    def values(self, name: str) -> list[str]:
        """Return the values of a header in order; `name` is lower case."""
        return [value for header, value in self.headers if header.lower() == name]


def parse_message(record: Record) -> Message | None:
    """Parse a record's block; None when its HTTP status line is missing.

    An HTML block without a status line is an HTTP/0.9 response.
    Source: RFC 9110, section 15.2 (interim responses); RFC 1945, section 6 (Simple-Response).
    """
    block = record.block
    declared = record.headers.get("content-type", "")
    found = _final_response(block)
    if found:
        status, headers, begin = found
        mime = _type_of([value for name, value in headers if name.lower() == "content-type"], record)
        return Message(status, headers, *mime, block[begin:], True)
    if record.kind == "response" and declared.lower().startswith("application/http"):
        return Message(200, [], "", None, block, False) if sniff_html(block) else None
    return Message(200, [("Content-Type", declared)], *_type_of([declared], record), block, False)


def _final_response(block: bytes) -> tuple[int, Headers, int] | None:
    """Return status and headers of the final response in a block, and the offset of its body.

    Skips interim responses and a proxy's response to CONNECT, which has no content.
    """
    line = STATUS_LINE.match(block, _skip_blank(block, 0))
    while line:
        end = HEAD_END.search(block, line.end())
        head_end = end.end() if end else len(block)
        status, headers = int(line[1]), parse_headers(block[line.start() : head_end])[1]
        following = STATUS_LINE.match(block, _skip_blank(block, head_end))
        may_precede = status < 200 or (status < 300 and all(name.lower() != "content-type" for name, _ in headers))
        if following is None or not may_precede:
            return status, headers, head_end
        line = following
    return None


def _skip_blank(block: bytes, at: int) -> int:
    blank = BLANK.match(block, at)
    return blank.end() if blank else at


def _type_of(declared: list[str], record: Record) -> MimeType:
    """Return the declared type, else the identified one; "" if only the body can tell."""
    mime = extract_mime_type(declared)
    if mime is None or mime.essence in UNKNOWN_TYPES:
        charset = mime.charset if mime else None
        mime = extract_mime_type([record.headers.get("warc-identified-payload-type", "")])
        if mime is None or mime.essence in (*UNKNOWN_TYPES, "application/octet-stream"):
            return MimeType("", charset)
        return MimeType(mime.essence, charset or mime.charset)
    return mime


def decode_body(message: Message, max_bytes: int) -> tuple[bytes, str]:
    """Decode transfer and content codings. Returns the body and an error message, "" without error.

    A coding that was declared but not applied is ignored. A truncated body is decoded up to the end of its data.
    Memory is limited to a few times `max_bytes`. Raises: TooLarge when the decoded body exceeds it.
    Source: RFC 9112, sections 6.1 and 7; RFC 9110, section 8.4.
    """
    body = message.body
    faults = []
    transfer = _codings(message, "transfer-encoding")
    if transfer.count("chunked") > 1:  # applied only once, even if declared repeatedly
        transfer = [coding for coding in transfer if coding != "chunked"] + ["chunked"]
    for coding in reversed((_codings(message, "content-encoding") + transfer)[-MAX_CODINGS:]):
        body, fault = _join_chunks(body) if coding == "chunked" else _decode(body, coding, max_bytes)
        faults.append(fault)
    if len(body) > max_bytes:
        raise TooLarge
    return body, "; ".join(filter(None, faults))


def decode_undeclared(body: bytes, max_bytes: int) -> tuple[bytes, str]:
    """Decode codings that headers do not declare, by their magic numbers.

    Returns and raises like decode_body.
    """
    faults = []
    for _ in range(MAX_CODINGS):
        coding = next((coding for coding, magic in MAGIC.items() if body.startswith(magic)), None)
        if coding is None:
            break
        body, fault = _decode(body, coding, max_bytes)
        faults.append(fault)
        if fault:
            break
    return body, "; ".join(filter(None, faults))


def _codings(message: Message, header: str) -> list[str]:
    values = (value.split(",") for value in message.values(header)) if message.is_http else ()
    codings = (coding.strip(" \t\"'").lower() for value in values for coding in value)
    return [coding for coding in codings if coding == "chunked" or coding in DECODERS]


def _join_chunks(body: bytes) -> tuple[bytes, str]:
    chunks: list[bytes] = []
    at = 0
    while size := CHUNK_SIZE.match(body, at):
        begin, num_bytes = size.end(), int(size[1], 16)
        if num_bytes == 0:
            return b"".join(chunks), ""
        chunk = body[begin : begin + num_bytes]
        chunks.append(chunk)
        at = begin + num_bytes
        if len(chunk) < num_bytes:
            return b"".join(chunks), "the last chunk is truncated"
        at += 2 if body.startswith(b"\r\n", at) else 1 if body.startswith(b"\n", at) else 0
    if not chunks:
        return body, ""  # declared, but not chunked
    return b"".join(chunks) + body[at:], "a chunk's length is wrong" if at < len(body) else "the last chunk is missing"


def _decode(body: bytes, coding: str, max_bytes: int) -> tuple[bytes, str]:
    if not body:
        return body, ""
    decoded, fault = _run(DECODERS[coding], body, max_bytes)
    if not fault:
        return decoded, ""
    if not (coding in MAGIC and body.startswith(MAGIC[coding])):
        other = _coding_of(body)
        if other and other != coding:  # declared as another coding
            found, fault_of_other = _run(DECODERS[other], body, max_bytes)
            if found and (other in MAGIC or not fault_of_other):
                return found, f"{other}: {fault_of_other}" if fault_of_other else ""
        if body.lstrip()[:1] == b"<" or (not decoded and coding in MAGIC):  # declared, but not applied
            return body, ""
    return decoded, f"{coding}: {fault}"


def _coding_of(body: bytes) -> str | None:
    """Return the coding of a body by its first bytes."""
    found = next((coding for coding, magic in MAGIC.items() if body.startswith(magic)), None)
    return found or ("deflate" if _begins_zlib(body) else None)


def _begins_zlib(body: bytes) -> bool:
    """Source: RFC 1950, section 2.2."""
    return body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0


def _run(steps: Callable[[bytes], Iterator[bytes]], body: bytes, max_bytes: int) -> tuple[bytes, str]:
    decoded = bytearray()
    try:
        for step in steps(body):
            decoded += step
            if len(decoded) > max_bytes:
                raise TooLarge
    except (zlib.error, brotli.error, OSError, EOFError) as error:
        return bytes(decoded), str(error)
    return bytes(decoded), ""


def _gunzip(body: bytes) -> Iterator[bytes]:
    """Source: RFC 1952, section 2.2: a file is a series of members. Data after the last one is ignored."""
    rest = memoryview(body)
    while True:
        inflater = zlib.decompressobj(wbits=31)
        at = 0
        while not inflater.eof and at < len(rest):
            yield from _inflate_step(inflater, rest[at : at + STEP_BYTES])
            at += STEP_BYTES
        if not inflater.eof:
            yield inflater.flush()
            raise EOFError("the body is truncated")
        rest = rest[min(at, len(rest)) - len(inflater.unused_data) :]
        if bytes(rest[:3]) != MAGIC["gzip"]:
            return


def _inflate(body: bytes) -> Iterator[bytes]:
    """Source: RFC 1950; many servers send raw deflate (RFC 1951) under this name."""
    inflater = zlib.decompressobj(wbits=15 if _begins_zlib(body) else -15)
    for at in range(0, len(body), STEP_BYTES):
        yield from _inflate_step(inflater, body[at : at + STEP_BYTES])
    if not inflater.eof:
        yield inflater.flush()
        raise EOFError("the body is truncated")


def _inflate_step(inflater: "zlib._Decompress", data: bytes | memoryview) -> Iterator[bytes]:
    while data and not inflater.eof:
        yield inflater.decompress(data, STEP_BYTES)
        data = inflater.unconsumed_tail


def _unbrotli(body: bytes) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    for at in range(0, len(body), STEP_BYTES):
        yield decoder.process(body[at : at + STEP_BYTES], output_buffer_limit=STEP_BYTES)
        while not decoder.can_accept_more_data():
            yield decoder.process(b"", output_buffer_limit=STEP_BYTES)
        if decoder.is_finished():
            return
    raise EOFError("the body is truncated")


def _unzstd(body: bytes) -> Iterator[bytes]:
    reader = ZstdReader(io.BytesIO(body))
    while data := reader.read(STEP_BYTES):
        yield data


MAGIC = {"gzip": b"\x1f\x8b\x08", "x-gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}
DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}


ALL_ROBOTS = "*"
MAX_SOURCE_CHARACTERS = 500
MAX_TAG_BYTES = 2_000  # of a meta element with a directive

_WITH_VALUE = re.compile(  # `max-snippet: 5` is not the name of a robot
    r"(?<![\w-])(?:unavailable_after|max-[\w-]++)\s*+:\s*+[^\s,;]*+"
)
_WORD = re.compile(r"([^\s,;:]+)(\s*:)?")
_RESERVATION = "tdm-reservation"
_NAMES = frozenset({"x-robots-tag", _RESERVATION})
_SPELLINGS = tuple(directive.encode() for directive in (*DIRECTIVES, "none"))


def in_headers(headers: Iterable[tuple[str, str]], agent: str) -> dict[str, str]:
    """Return the directives for an agent in a response's headers, each with its header."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name.lower() in _NAMES:
            for directive in _directives(name.lower(), value, agent):
                found.setdefault(directive, f"{name}: {value}"[:MAX_SOURCE_CHARACTERS])
    return found


def in_page(tree: LexborHTMLParser, agent: str) -> dict[str, str]:
    """Return the directives for an agent in a page's meta elements, each with its element."""
    found: dict[str, str] = {}
    for meta in tree.css("meta[name][content]"):
        name, value = meta.attributes["name"] or "", meta.attributes["content"] or ""
        if name.strip().lower() in ("robots", agent.lower(), _RESERVATION):
            for directive in _directives(name.strip().lower(), value, agent):
                found.setdefault(directive, f'<meta name="{name}" content="{value}">'[:MAX_SOURCE_CHARACTERS])
    return found


def may_be_in_page(body: bytes, agent: str) -> bool:
    """Return whether `in_page` may find a directive in a page's bytes, at a quarter of the cost of a tree.

    Names and directives with character references (`no&#97;i`) are not found.
    """
    if b"\x00" in body:  # UTF-16; all other charsets of the web are supersets of ASCII in tags
        return True
    names = (b"robots", agent.lower().encode(), _RESERVATION.encode())
    tags = (rest[:MAX_TAG_BYTES] for rest in body.lower().split(b"<meta")[1:])
    return any(any(name in tag for name in names) and any(word in tag for word in _SPELLINGS) for tag in tags)


def _directives(name: str, value: str, agent: str) -> Iterator[str]:
    """Yield the directives for an agent in the value of a header or meta element; `name` is lower case."""
    if name == _RESERVATION:
        if value.strip() == "1":
            yield _RESERVATION
        return
    applies = True  # to all robots, until the first name of a robot
    for word, colon in _WORD.findall(_WITH_VALUE.sub("", value.lower())):
        if colon and not word[0].isdigit():  # not a time of day
            applies = word in (ALL_ROBOTS, agent.lower())
        elif applies and word == "none":
            yield "noindex"  # short for noindex, nofollow
        elif applies and word in DIRECTIVES:
            yield word
