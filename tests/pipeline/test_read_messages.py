"""HTTP as it was captured: codings that were applied, half applied and only declared; types, charsets, dates."""

import gzip
import io
import tracemalloc
import zlib
from pathlib import Path

import brotli
import pytest
from fastwarc.stream_io import ZstdWriter

from pipeline.warc.responses import Response, Unreadable, read_archive, to_utc

HTML = b"<html><body><p>" + "Lorem ipsum, grüße. ".encode() * 200 + b"</p></body></html>"


def read(tmp_path: Path, block: bytes, max_body_bytes: int = 1_000_000, **fields: str) -> list[Response | Unreadable]:
    """Read an archive of one response, wanting whatever it is."""
    declared = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://site.example/\r\n{declared}"
    path = tmp_path / "archive.warc"
    path.write_bytes(f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n")
    return list(read_archive(str(path), lambda status, content_type, url: True, max_body_bytes))


def reply(body: bytes, *headers: str, status_line: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status_line, *headers, "", ""]).encode() + body


def chunked(body: bytes, size: int = 700, end: bytes = b"0\r\n\r\n") -> bytes:
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def zstd(body: bytes) -> bytes:
    file = io.BytesIO()
    writer = ZstdWriter(file)
    writer.write(body)
    writer.finish()
    writer.flush()
    return file.getvalue()


def raw_deflate(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(body) + deflater.flush()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(HTML, (), id="as it is"),
        pytest.param(gzip.compress(HTML), ("Content-Encoding: gzip",), id="gzip"),
        pytest.param(gzip.compress(HTML), ("content-encoding: X-GZIP",), id="x-gzip"),
        pytest.param(gzip.compress(HTML), ("Transfer-Encoding: gzip",), id="gzip as a transfer coding"),
        pytest.param(
            chunked(gzip.compress(HTML), 50), ("Transfer-Encoding: gzip, chunked",), id="gzip and chunks, for the way"
        ),
        pytest.param(
            chunked(gzip.compress(HTML), 50),
            ("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
            id="transfer codings in two headers",
        ),
        pytest.param(chunked(HTML), ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), id="chunked twice"),
        pytest.param(gzip.compress(HTML), ('Content-Encoding: "gzip"',), id="a coding in quotes"),
        pytest.param(gzip.compress(HTML), ("Content-Encoding: 'GZIP' ",), id="a coding in single quotes"),
        pytest.param(gzip.compress(HTML), ("Content-Encoding: aws-chunked,gzip",), id="beside a coding that is none"),
        pytest.param(gzip.compress(gzip.compress(HTML)), ("Content-Encoding: gzip, gzip",), id="gzip twice"),
        pytest.param(
            gzip.compress(HTML[:900]) + gzip.compress(HTML[900:]), ("Content-Encoding: gzip",), id="two gzip members"
        ),
        pytest.param(
            b"".join(gzip.compress(HTML[at : at + 1]) for at in range(len(HTML))),
            ("Content-Encoding: gzip",),
            id="a gzip member for each byte",
        ),
        pytest.param(gzip.compress(HTML), ("Content-Encoding: br",), id="gzip, declared brotli"),
        pytest.param(gzip.compress(HTML), ("Content-Encoding: deflate",), id="gzip, declared deflate"),
        pytest.param(zlib.compress(HTML), ("Content-Encoding: gzip",), id="deflate, declared gzip"),
        pytest.param(zstd(HTML), ("Content-Encoding: gzip",), id="zstd, declared gzip"),
        pytest.param(gzip.compress(HTML), (), id="gzip, declared nowhere"),
        pytest.param(gzip.compress(HTML), ("Content-Type: text/html",), id="gzip of HTML, declared nowhere"),
        pytest.param(gzip.compress(HTML) + b"tail", ("Content-Encoding: gzip",), id="gzip with a tail"),
        pytest.param(zlib.compress(HTML), ("Content-Encoding: deflate",), id="deflate"),
        pytest.param(raw_deflate(HTML), ("Content-Encoding: deflate",), id="raw deflate"),
        pytest.param(brotli.compress(HTML), ("Content-Encoding: br",), id="brotli"),
        pytest.param(zstd(HTML), ("Content-Encoding: zstd",), id="zstd"),
        pytest.param(chunked(HTML), ("Transfer-Encoding: chunked",), id="chunked"),
        pytest.param(chunked(HTML, end=b"0\r\nExpires: 0\r\n\r\n"), ("Transfer-Encoding: chunked",), id="trailers"),
        pytest.param(chunked(HTML).replace(b"\r\n", b"; a=b\r\n", 1), ("Transfer-Encoding: chunked",), id="extensions"),
        pytest.param(
            chunked(gzip.compress(HTML), 50),
            ("Content-Encoding: gzip", "Transfer-Encoding: chunked"),
            id="gzip, chunked",
        ),
        pytest.param(brotli.compress(gzip.compress(HTML)), ("Content-Encoding: gzip, br",), id="gzip, then brotli"),
        pytest.param(HTML, ("Content-Encoding: gzip",), id="declared gzip, but plain"),
        pytest.param(HTML, ("Content-Encoding: br",), id="declared brotli, but plain"),
        pytest.param(HTML, ("Content-Encoding: zstd",), id="declared zstd, but plain"),
        pytest.param(HTML, ("Content-Encoding: deflate",), id="declared deflate, but plain"),
        pytest.param(HTML, ("Transfer-Encoding: chunked",), id="declared chunked, but plain"),
        pytest.param(HTML, ("Content-Encoding: utf-8",), id="an encoding that is none"),
        pytest.param(HTML, ("Content-Length: 3",), id="a wrong Content-Length"),
    ],
)
def test_bodies_are_decoded(tmp_path: Path, body: bytes, headers: tuple[str, ...]) -> None:
    (response,) = read(tmp_path, reply(body, *headers))
    assert isinstance(response, Response)
    assert response.body == HTML


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (gzip.compress(HTML)[:-30], "Content-Encoding: gzip"),
        (brotli.compress(HTML)[:-8], "Content-Encoding: br"),
        (zlib.compress(HTML)[:-9], "Content-Encoding: deflate"),
        (chunked(HTML)[:-300], "Transfer-Encoding: chunked"),
        (chunked(HTML, end=b""), "Transfer-Encoding: chunked"),
    ],
)
def test_bodies_that_break_off(tmp_path: Path, body: bytes, header: str) -> None:
    response, row = read(tmp_path, reply(body, header))
    assert isinstance(response, Response) and isinstance(row, Unreadable)
    assert len(response.body) > 15 and HTML.startswith(response.body)
    assert (row.rule, row.offset, row.url) == ("BAD_HTTP", 0, "http://site.example/")


def test_a_wrong_chunk_length(tmp_path: Path) -> None:
    response, row = read(tmp_path, reply(chunked(b"a" * 1400).replace(b"2bc", b"2ba", 1), "Transfer-Encoding: chunked"))
    assert isinstance(response, Response) and isinstance(row, Unreadable)
    assert response.body.startswith(b"a" * 698)
    assert (row.rule, row.detail) == ("BAD_HTTP", "a chunk's length is wrong")


def test_a_body_of_which_nothing_can_be_decoded(tmp_path: Path) -> None:
    (row,) = read(tmp_path, reply(b"\x1f\x8b\x08" + b"\xff" * 50, "Content-Encoding: gzip"))
    assert isinstance(row, Unreadable)
    assert row.rule == "BAD_HTTP"


@pytest.mark.parametrize(
    ("coding", "compressed"),
    [
        ("gzip", gzip.compress(bytes(50_000_000), compresslevel=1)),
        ("br", brotli.compress(bytes(50_000_000), quality=2)),
        ("zstd", zstd(bytes(50_000_000))),
    ],
    ids=["gzip", "brotli", "zstd"],
)
def test_a_bomb_costs_little_memory(tmp_path: Path, coding: str, compressed: bytes) -> None:
    bomb = reply(compressed, f"Content-Encoding: {coding}", "Content-Type: text/html")
    assert len(bomb) < 500_000
    tracemalloc.start()
    (row,) = read(tmp_path, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(row, Unreadable)
    assert row.rule == "TOO_LARGE"
    assert peak < 8_000_000


def test_the_bound_on_a_body_is_kept_to_the_byte(tmp_path: Path) -> None:
    for body, header in ((HTML, "X: y"), (gzip.compress(HTML), "Content-Encoding: gzip")):
        (whole,) = read(tmp_path, reply(body, header), max_body_bytes=len(HTML))
        assert isinstance(whole, Response)
        (row,) = read(tmp_path, reply(body, header), max_body_bytes=len(HTML) - 1)
        assert isinstance(row, Unreadable) and row.rule == "TOO_LARGE"


@pytest.mark.parametrize(
    ("status_line", "status"),
    [("HTTP/1.1 404 Not Found", 404), ("HTTP/1.0 302 ", 302), ("HTTP/2 200", 200), ("ICY 200 OK", 200)],
)
def test_status_lines(tmp_path: Path, status_line: str, status: int) -> None:
    (response,) = read(tmp_path, reply(b"x", status_line=status_line))
    assert isinstance(response, Response) and response.status == status


@pytest.mark.parametrize("block", [b"", b"words", b"HTTPX/1.1 200 OK\r\n\r\n", b"HTTP/1.1 OK\r\n\r\nbody", b"\0\0\0"])
def test_a_response_without_a_status_line(tmp_path: Path, block: bytes) -> None:
    (row,) = read(tmp_path, block, Content_Type="application/http; msgtype=response")
    assert isinstance(row, Unreadable)
    assert (row.rule, row.detail) == ("BAD_HTTP", "no HTTP status line")


@pytest.mark.parametrize("newline", [b"\r\n", b"\n", b"\r\r\n"])
def test_header_lines_however_they_end(tmp_path: Path, newline: bytes) -> None:
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: text/html", b"X-Long: one", b" two", b"no header", b"", b"<p>body"]
    (response,) = read(tmp_path, newline.join(lines))
    assert isinstance(response, Response)
    assert (response.content_type, response.body) == ("text/html", b"<p>body")
    assert ("X-Long", "one two") in response.headers


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\nHTTP/1.1 200 OK\nContent-Type: text/html\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\nVia: a\r\n\r\nHTTP/2 200\r\ncontent-type: text/html\r\n\r\n",
        b"HTTP/1.1 100 A\r\nContent-Type: a/b\r\n\r\n\r\nHTTP/3 200\r\n:status: 200\r\ncontent-type: text/html\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 200\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\xff\xfe: x\r\n: empty\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nCookie: " + b"a" * 70_000 + b"\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 2_000 + b"Content-Type: text/html\r\n\r\n",
        b"\r\n\r\n",
        b"",
    ],
)  # fmt: skip
def test_the_final_response_counts(tmp_path: Path, head: bytes) -> None:
    """Source: RFC 9110, section 15.2; RFC 1945, section 6, for the last two."""
    (response,) = read(tmp_path, head + HTML, Content_Type="application/http; msgtype=response")
    assert isinstance(response, Response)
    assert (response.status, response.content_type, response.body.strip()) == (200, "text/html", HTML)


def test_a_page_that_shows_a_status_line_keeps_it(tmp_path: Path) -> None:
    shown = b"HTTP/1.1 404 Not Found\r\n\r\n"
    (response,) = read(tmp_path, reply(shown + HTML, "Content-Type: text/html"))
    assert isinstance(response, Response)
    assert (response.status, response.body) == (200, shown + HTML)


def test_interim_responses_alone(tmp_path: Path) -> None:
    (response,) = read(tmp_path, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")
    assert isinstance(response, Response) and response.status == 103


@pytest.mark.parametrize("body", [bytes(range(256)) * 9, b"\x1f\x8b\x08\0" + b"\x05\x02\x1f" * 90, bytes(500)])
@pytest.mark.parametrize("coding", ["X: y", "Content-Encoding: br", "Content-Encoding: gzip"])
def test_a_body_that_is_still_binary_is_refused(tmp_path: Path, body: bytes, coding: str) -> None:
    (row,) = read(tmp_path, reply(body, "Content-Type: text/html", coding))
    assert isinstance(row, Unreadable)
    assert row.rule in ("BINARY_BODY", "BAD_HTTP") and row.detail and row.url


@pytest.mark.parametrize(
    ("headers", "fields", "body", "content_type"),
    [
        (["Content-Type: unknown/unknown"], {"WARC_Identified_Payload_Type": "text/html"}, b"<section>", "text/html"),
        ([], {"WARC_Identified_Payload_Type": "text/html"}, b"words", "text/html"),
        (["Content-Type: html"], {"WARC_Identified_Payload_Type": "text/plain"}, b"<html>", "text/plain"),
        (["Content-Type: image/png"], {"WARC_Identified_Payload_Type": "text/html"}, b"<html>", "image/png"),
        ([], {"WARC_Identified_Payload_Type": "application/octet-stream"}, b"<html>", "text/html"),
        (["Content-Type: */*", "X-Content-Type-Options: nosniff"], {}, b"<html>", ""),
        (["Content-Type: text/html", "X-Content-Type-Options: nosniff"], {}, b"<p>", "text/html"),
        (["Content-Type: text/xml"], {}, b'<?xml version="1.0"?><html xmlns="a">', "application/xhtml+xml"),
        (["Content-Type: application/xml"], {}, b'<?xml version="1.0"?><rss>', "application/xml"),
        (["Content-Type: text/plain"], {}, b"<html>", "text/plain"),
    ],
)
def test_types_by_headers_payload_and_bytes(
    tmp_path: Path, headers: list[str], fields: dict[str, str], body: bytes, content_type: str
) -> None:
    (response,) = read(tmp_path, reply(body, *headers), **fields)
    assert isinstance(response, Response) and response.content_type == content_type


def test_bytes_are_looked_at_once_their_codings_are_undone(tmp_path: Path) -> None:
    (response,) = read(tmp_path, reply(gzip.compress(HTML), "Content-Encoding: gzip", "Content-Type: */*"))
    assert isinstance(response, Response) and (response.content_type, response.body) == ("text/html", HTML)


@pytest.mark.parametrize(
    ("headers", "body", "content_type", "charset"),
    [
        (["Content-Type: Text/HTML; Charset=Shift_JIS"], b"", "text/html", "shift_jis"),
        (['Content-Type: text/html;charset="UTF-8"'], b"", "text/html", "utf-8"),
        (["Content-Type: image/png"], b"<html>", "image/png", None),
        ([], b"\xef\xbb\xbf \n<!DOCTYPE html>", "text/html", None),
        ([], b"<HTML lang=en>", "text/html", None),
        ([], b"plain words", "", None),
    ],
)
def test_content_types(tmp_path: Path, headers: list[str], body: bytes, content_type: str, charset: str | None) -> None:
    (response,) = read(tmp_path, reply(body, *headers))
    assert isinstance(response, Response)
    assert (response.content_type, response.charset) == (content_type, charset)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-03-01T10:20:30Z", "2024-03-01T10:20:30Z"),
        ("2024-03-01T10:20:30.999999Z", "2024-03-01T10:20:30Z"),
        ("2024-03-01T10:20:30+02:00", "2024-03-01T08:20:30Z"),
        ("2024-02-29T23:20:30-0100", "2024-03-01T00:20:30Z"),
        ("2024-03-01 10:20:30", "2024-03-01T10:20:30Z"),
        ("20240301102030", "2024-03-01T10:20:30Z"),
        ("20240301102030123", "2024-03-01T10:20:30Z"),
        ("202403011020", "2024-03-01T10:20:00Z"),
        ("2024-03-01", "2024-03-01T00:00:00Z"),
        ("2024-03", "2024-03-01T00:00:00Z"),
        ("2024", "2024-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+10:00", ""),
        ("2024-13-01T00:00:00Z", ""),
        ("2023-02-29", ""),
        ("null", ""),
        ("", ""),
    ],
)
def test_dates(tmp_path: Path, written: str, meant: str) -> None:
    assert to_utc(written) == meant
    (response,) = read(tmp_path, reply(b"x"), WARC_Date=written)
    assert isinstance(response, Response) and response.captured_at == meant


def test_an_address_in_brackets(tmp_path: Path) -> None:
    block = reply(b"x")
    head = f"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: {len(block)}\r\n"
    (tmp_path / "a").write_bytes(f"{head}WARC-Target-URI: <http://site.example/a>\r\n\r\n".encode() + block)
    (response,) = read_archive(str(tmp_path / "a"), lambda *_: True)
    assert isinstance(response, Response) and response.url == "http://site.example/a"
