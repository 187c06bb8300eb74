"""The HTTP message in a record: its status, headers and decoded body, whatever its server got wrong about them."""

import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import brotli
from fastwarc.stream_io import ZstdReader

from pipeline.read.records import HEAD_END, Record, parse_headers

STATUS_LINE = re.compile(r"(?:HTTP/\d(?:\.\d)?|ICY)\s+(\d{3})(?!\d)", re.IGNORECASE)
CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
HTML_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|title|meta)\b", re.IGNORECASE)
CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
MAX_CODINGS = 4
STEP_BYTES = 16 << 10


class TooLarge(Exception):
    """A body exceeds the bound; raised and caught within this package."""


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP response as it was captured, or a resource, which counts as one with status 200."""

    status: int
    headers: list[tuple[str, str]]
    content_type: str  # lower case, without parameters; "" where nothing tells
    charset: str | None
    body: bytes  # still encoded
    is_http: bool


def parse_message(record: Record) -> Message | None:
    """Take a record's block apart. None when it should begin with a HTTP status line and does not."""
    block = record.block
    declared = record.headers.get("content-type", "")
    end = HEAD_END.search(block)
    line, headers = (
        parse_headers(block[: end.end() if end else len(block)]) if block[:8].lstrip()[:1].isalpha() else ("", [])
    )
    status = STATUS_LINE.match(line)
    if status is None:
        if record.kind == "response" and declared.startswith("application/http"):
            return None
        return Message(200, [("Content-Type", declared)], *_content_type(declared, record, block), block, False)
    body = block[end.end() :] if end else b""
    content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
    return Message(int(status[1]), headers, *_content_type(content_type, record, body), body, True)


def _content_type(declared: str, record: Record, body: bytes) -> tuple[str, str | None]:
    content_type = declared.partition(";")[0].strip().lower()
    if not content_type:
        content_type = record.headers.get("warc-identified-payload-type", "").partition(";")[0].strip().lower()
    if not content_type and HTML_START.match(body):
        content_type = "text/html"
    charset = CHARSET.search(declared)
    return content_type, charset[1].lower() if charset else None


def decode_body(message: Message, max_bytes: int) -> tuple[bytes, str]:
    """Undo transfer and content codings. Returns the body and what went wrong, "" when nothing did.

    A coding that was declared but never applied is ignored. A body that breaks off keeps what comes before the break.
    Memory stays within a few times `max_bytes`. Raises: TooLarge when the decoded body exceeds it.
    Source: RFC 9112, section 7; RFC 9110, section 8.4.
    """
    body = message.body
    faults = []
    if "chunked" in _codings(message, "transfer-encoding"):
        body, fault = _join_chunks(body)
        faults.append(fault)
    for coding in reversed(_codings(message, "content-encoding")[:MAX_CODINGS]):
        body, fault = _decode(body, coding, max_bytes)
        faults.append(fault)
    if len(body) > max_bytes:
        raise TooLarge
    return body, "; ".join(filter(None, faults))


def _codings(message: Message, header: str) -> list[str]:
    values = (value for name, value in message.headers if name.lower() == header)
    return [coding.strip().lower() for value in values for coding in value.split(",") if message.is_http]


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
            return b"".join(chunks), "the last chunk is cut off"
        at += 2 if body.startswith(b"\r\n", at) else 1 if body.startswith(b"\n", at) else 0
    if not chunks:
        return body, ""  # declared, but never chunked
    return b"".join(chunks) + body[at:], "a chunk's length is wrong" if at < len(body) else "the last chunk is missing"


def _decode(body: bytes, coding: str, max_bytes: int) -> tuple[bytes, str]:
    steps = DECODERS.get(coding)
    if steps is None or not body:
        return body, ""
    decoded = bytearray()
    fault = ""
    try:
        for step in steps(body):
            decoded += step
            if len(decoded) > max_bytes:
                raise TooLarge
    except (zlib.error, brotli.error, OSError, EOFError) as error:
        if body.lstrip()[:1] == b"<" or (not decoded and coding in MAGIC and not body.startswith(MAGIC[coding])):
            return body, ""
        fault = f"{coding}: {error}"
    return bytes(decoded), fault


def _inflate(body: bytes) -> Iterator[bytes]:
    is_raw = body[0] & 0x0F != 8 or int.from_bytes(body[:2]) % 31 != 0  # RFC 1950, section 2.2
    inflater = zlib.decompressobj(wbits=47 if body.startswith(MAGIC["gzip"]) or not is_raw else -15)
    for at in range(0, len(body), STEP_BYTES):
        data = body[at : at + STEP_BYTES]
        while data and not inflater.eof:
            yield inflater.decompress(data, STEP_BYTES)
            data = inflater.unconsumed_tail
    while rest := inflater.decompress(b"", STEP_BYTES):
        yield rest
    if not inflater.eof:
        raise EOFError("the body is cut off")


def _unbrotli(body: bytes) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    for at in range(0, len(body), STEP_BYTES):
        yield decoder.process(body[at : at + STEP_BYTES], output_buffer_limit=STEP_BYTES)
        while not decoder.can_accept_more_data():
            yield decoder.process(b"", output_buffer_limit=STEP_BYTES)
        if decoder.is_finished():
            return
    raise EOFError("the body is cut off")


def _unzstd(body: bytes) -> Iterator[bytes]:
    reader = ZstdReader(io.BytesIO(body))
    while data := reader.read(STEP_BYTES):
        yield data


MAGIC = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _inflate,
    "x-gzip": _inflate,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
