"""Write WARC 1.1 records (ISO 28500:2017) deterministically: one gzip member each."""

import base64
import gzip
import hashlib
import uuid
from typing import BinaryIO

Headers = tuple[tuple[str, str], ...]


def write_warcinfo(stream: BinaryIO, filename: str, date: str) -> None:
    """Write the record that opens an archive."""
    body = b"software: weft sample\r\nformat: WARC File Format 1.1\r\n"
    _write(stream, "warcinfo", date, (("WARC-Filename", filename), ("Content-Type", "application/warc-fields")), body)


def write_response(stream: BinaryIO, url: str, date: str, status: str, headers: Headers, body: bytes) -> None:
    """Write an HTTP response; `status` is code and reason, as in '200 OK'."""
    head = _http(f"HTTP/1.1 {status}", (*headers, ("Content-Length", str(len(body)))))
    known = (
        ("WARC-Target-URI", url),
        ("WARC-Payload-Digest", _sha1(body)),
        ("Content-Type", "application/http; msgtype=response"),
    )
    _write(stream, "response", date, known, head + body)


def write_request(stream: BinaryIO, url: str, date: str, host: str, path: str) -> None:
    """Write the request that led to a response."""
    known = (("WARC-Target-URI", url), ("Content-Type", "application/http; msgtype=request"))
    _write(stream, "request", date, known, _http(f"GET {path} HTTP/1.1", (("Host", host), ("User-Agent", "weft"))))


def write_revisit(stream: BinaryIO, url: str, date: str, first_date: str, body: bytes) -> None:
    """Write a revisit record: the server sent the same body as at `first_date`."""
    known = (
        ("WARC-Target-URI", url),
        ("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"),
        ("WARC-Refers-To-Target-URI", url),
        ("WARC-Refers-To-Date", first_date),
        ("WARC-Payload-Digest", _sha1(body)),
        ("Content-Type", "application/http; msgtype=response"),
    )
    _write(stream, "revisit", date, known, _http("HTTP/1.1 200 OK", (("Content-Type", "text/html"),)))


def _http(first_line: str, headers: Headers) -> bytes:
    lines = [first_line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8")


def _write(stream: BinaryIO, kind: str, date: str, headers: Headers, block: bytes) -> None:
    identity = hashlib.sha256(repr((kind, date, headers)).encode() + block).digest()
    lines = [
        "WARC/1.1",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:{uuid.UUID(bytes=identity[:16], version=4)}>",
        f"WARC-Date: {date}",
        *(f"{name}: {value}" for name, value in headers),
        f"WARC-Block-Digest: {_sha1(block)}",
        f"Content-Length: {len(block)}",
        "",
        "",
    ]
    stream.write(gzip.compress("\r\n".join(lines).encode("utf-8") + block + b"\r\n\r\n", mtime=0))


def _sha1(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()
