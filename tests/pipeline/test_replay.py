"""The replaying proxy, asked as a client would ask it."""

import gzip
import http.client
import io
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from pipeline.inspect.replay import replaying, serve
from schemas.errors import PathError, WeftError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
PAGE = b"<html>" + b"words " * 2000


def record(url: str, block: bytes, date: str = "2024-01-01T00:00:00Z", kind: str = "response", **more: str) -> bytes:
    fields = {
        "WARC-Type": kind,
        "WARC-Target-URI": url,
        "WARC-Date": date,
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(block)),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return (
        ("WARC/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())).encode() + b"\r\n" + block + b"\r\n\r\n"
    )


def reply(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


RECORDS = [
    record("http://a.example/old.png", reply(b"older", "Content-Type: image/png"), "2023-01-01T00:00:00Z"),
    record("http://a.example/old.png", reply(PNG, "Content-Type: image/png"), "2024-01-01T00:00:00Z"),
    record("http://a.example/old.png", reply(b"oldest", "Content-Type: image/png"), "2022-01-01T00:00:00Z"),
    record(
        "https://Secure.example:443/page?q=1",
        reply(
            gzip.compress(PAGE),
            "Content-Type: text/html; charset=utf-8",
            "Content-Encoding: gzip",
            "Transfer-Encoding: identity",
            "Connection: keep-alive",
            "Content-Length: 12",
            "X-Robots-Tag: noai",
            "Set-Cookie: a=b",
            "Strict-Transport-Security: max-age=1",
        ),
    ),
    record("http://a.example/moved", reply(b"", "Location: https://secure.example/page?q=1", status="301 Moved")),
    record("http://a.example/gone", reply(b"no longer", status="410 Gone")),
    record("http://a.example/empty", reply(b"", status="204 No Content")),
    record("http://a.example/a b/ü.png", reply(b"umlaut", "Content-Type: image/png")),
    record("http://a.example/%7Euser", reply(b"tilde")),
    record("http://a.example", reply(b"root")),
    record("http://a.example/direct.txt", b"direct", kind="resource", Content_Type="text/plain"),
    record("http://a.example/first", reply(b"first seen"), WARC_Payload_Digest="sha1:AAAA"),
    record(
        "http://a.example/seen-again",
        reply(b""),
        "2024-02-01T00:00:00Z",
        "revisit",
        WARC_Refers_To_Target_URI="http://a.example/first",
        WARC_Refers_To_Date="2024-01-01T00:00:00Z",
    ),
    record("http://a.example/same", reply(b""), kind="revisit", WARC_Payload_Digest="sha1:AAAA"),
    record("http://a.example/lost", reply(b""), kind="revisit", WARC_Payload_Digest="sha1:BBBB"),
    record("http://a.example/cut", reply(gzip.compress(PAGE)[:-20], "Content-Encoding: gzip")),
    record("http://a.example/line", reply(b"x", "X-Odd: a\x01b\tc", "bad name: 1")),
    record("http://a.example/asked", b"GET / HTTP/1.1\r\n\r\n", kind="request"),
]
NUM_ADDRESSES = 14


def pack_wacz(records: list[bytes], compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        zipped.writestr("datapackage.json", "{}")
        zipped.writestr("archive/1.warc.gz", b"".join(map(gzip.compress, records[:5])))
        zipped.writestr("archive/2.warc", b"".join(records[5:]))
    return file.getvalue()


FORMS = {
    "plain": lambda: b"".join(RECORDS),
    "gzip": lambda: b"".join(map(gzip.compress, RECORDS)),
    "one member": lambda: gzip.compress(b"".join(RECORDS)),
    "wacz": lambda: pack_wacz(RECORDS, zipfile.ZIP_STORED),
    "deflated wacz": lambda: pack_wacz(RECORDS, zipfile.ZIP_DEFLATED),
}


@pytest.fixture(scope="module", params=FORMS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("replay") / "archive"
    path.write_bytes(FORMS[request.param]())
    with replaying([str(path)]) as port:
        yield port


def ask(port: int, url: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, url)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_newest_capture_is_served(port: int) -> None:
    status, headers, body = ask(port, "http://a.example/old.png")
    assert (status, body) == (200, PNG)
    assert headers == {"content-type": "image/png", "content-length": str(len(PNG))}


def test_headers_and_body_are_those_of_the_page(port: int) -> None:
    status, headers, body = ask(port, "http://secure.example/page?q=1")
    assert (status, body) == (200, PAGE)
    assert headers == {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(PAGE)),
        "x-robots-tag": "noai",
        "set-cookie": "a=b",
    }


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("HTTP://A.Example:80/gone#part", b"no longer"),
        ("https://a.example/gone", b"no longer"),
        ("http://a.example/a%20b/%C3%BC.png", b"umlaut"),
        ("http://a.example/~user", b"tilde"),
        ("http://a.example/%7euser", b"tilde"),
        ("http://a.example/", b"root"),
        ("http://a.example/direct.txt", b"direct"),
        ("http://a.example/seen-again", b"first seen"),
        ("http://a.example/same", b"first seen"),
    ],
)
def test_addresses_that_mean_the_same(port: int, url: str, body: bytes) -> None:
    assert ask(port, url)[2] == body


@pytest.mark.parametrize(("path", "status"), [("gone", 410), ("empty", 204), ("direct.txt", 200)])
def test_the_archived_status(port: int, path: str, status: int) -> None:
    assert ask(port, f"http://a.example/{path}")[0] == status


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/lost",
        "http://a.example/asked",
        "http://a.example:8080/gone",
        "http://b.example/",
        "/gone",
        "http://a.example:x/",
        "ftp://a.example/gone",
    ],
)
def test_what_is_not_archived(port: int, url: str) -> None:
    status, headers, body = ask(port, url)
    assert (status, body) == (404, f"not in the archives: {url}\n".encode())
    assert headers["content-type"] == "text/plain; charset=utf-8"


def test_a_client_follows_a_redirect_to_https(port: int) -> None:
    assert ask(port, "http://a.example/moved")[1]["location"] == "http://secure.example/page?q=1"
    opener = build_opener(ProxyHandler({"http": f"http://127.0.0.1:{port}"}))
    with opener.open("http://a.example/moved", timeout=120) as answer:
        assert answer.read() == PAGE


def test_head_sends_no_body(port: int) -> None:
    status, headers, body = ask(port, "http://a.example/old.png", "HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(PNG)), b"")


def test_connect_and_post_are_refused(port: int) -> None:
    status, _, body = ask(port, "a.example:443", "CONNECT")
    assert (status, body) == (501, b"this proxy does not support TLS: request https URLs as http\n")
    assert ask(port, "http://a.example/gone", "POST")[0] == 501


def test_a_body_that_breaks_off_is_served_as_far_as_it_goes(port: int) -> None:
    status, headers, body = ask(port, "http://a.example/cut")
    assert status == 200 and len(body) > 0 and PAGE.startswith(body)
    assert headers["content-length"] == str(len(body))


def test_header_lines_stay_lines(port: int) -> None:
    _, headers, body = ask(port, "http://a.example/line")
    assert (headers["x-odd"], body) == ("ab\tc", b"x")
    assert "bad name" not in headers


def test_many_at_once_and_one_after_another_on_a_connection(port: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda _: ask(port, "http://a.example/old.png")[2], range(40)))
    assert bodies == [PNG] * 40
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for method, path, body in (
        ("GET", "gone", b"no longer"),
        ("HEAD", "gone", b""),
        ("GET", "empty", b""),
        ("GET", "x", None),
    ):
        connection.request(method, f"http://a.example/{path}")
        answer = connection.getresponse().read()
        assert body in (None, answer)
    connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org", ""])
def test_only_loopback(host: str) -> None:
    with pytest.raises(WeftError, match=r"the host must be 127\.0\.0\.1 or localhost"):
        serve(0, [], host)


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            WeftError, match=rf"cannot listen on 127\.0\.0\.1:{port}: the port is in use; choose another"
        ):
            serve(port, [])
    with pytest.raises(WeftError, match="cannot listen on"):
        serve(70_000, [])


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="no such file"):
        serve(0, [str(tmp_path / "absent.warc")])


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_says_when_it_is_ready_and_ends_cleanly(tmp_path: Path, stop: signal.Signals) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(RECORDS))
    code = f"from pipeline.inspect.replay import serve; serve(0, [{str(path)!r}])"
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=root,
        text=True,
        env=os.environ,
    ) as process:
        assert process.stdout and process.stderr
        ready = process.stdout.readline()
        prefix = f"replaying {NUM_ADDRESSES} responses on http://127.0.0.1:"
        assert ready.startswith(prefix)
        assert ask(int(ready.removeprefix(prefix)), "http://a.example/gone")[0] == 410
        process.send_signal(stop)
        assert process.wait(120) == 0
        assert process.stderr.read() == ""
