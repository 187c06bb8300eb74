"""A file behind a faulty network: the same bytes, and each failure costs one more range."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.io import remote
from pipeline.io.remote import RemoteFile
from pipeline.io.store import open_file
from pipeline.warc.responses import Response, read_archive
from schemas.errors import PathError

SIZE = 12_000_000
BLOCK = 5 << 20  # of fsspec's HTTP files
DATA = random.Random(22).randbytes(SIZE)

Fault = Callable[[int], str]  # from the number of a request for bytes to "", "503", "403", "reset" or "short"


class Server(ThreadingHTTPServer):
    data = DATA
    has_ranges = True

    def __init__(self, fault: Fault) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.num_requests, self.num_bytes = fault, 0, 0
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._head(200, len(self.server.data))

    def do_GET(self) -> None:
        with self.server.lock:
            number = self.server.num_requests
            self.server.num_requests += 1
        start, end, status = 0, len(self.server.data), 200
        if self.server.has_ranges and (asked := self.headers.get("Range")):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end, status = int(first), min(int(last) + 1, end), 206
        fault = self.server.fault(number)
        if fault.isdigit():
            self._head(int(fault), 0)
            return
        if fault == "reset":
            self.close_connection = True
            self.connection.close()
            return
        self._head(status, end - start, start)
        data = self.server.data[start : end if not fault else (start + end) // 2]
        self.server.num_bytes += len(data)
        self.wfile.write(data)
        if fault:
            self.close_connection = True

    def _head(self, status: int, size: int, start: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + size - 1}/{len(self.server.data)}")
        elif self.server.has_ranges:
            self.send_header("Accept-Ranges", "bytes")
        else:
            self.send_header("Accept-Ranges", "none")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client, or a fault of ours, has closed the connection
            self.close_connection = True


@contextmanager
def serving(fault: Fault, data: bytes = DATA, has_ranges: bool = True) -> Iterator[Server]:
    server = Server(fault)
    server.data, server.has_ranges = data, has_ranges
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/a.warc.gz"


def read_all(file: RemoteFile) -> bytes:
    return b"".join(iter(lambda: file.read(64 << 10), b""))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.mark.parametrize("kind", ["503", "500", "429", "reset", "short"])
def test_a_failed_range_is_requested_again(kind: str) -> None:
    with serving(lambda number: kind if number in (1, 3) else "") as server, RemoteFile(url(server)) as file:
        assert read_all(file) == DATA
    assert server.num_bytes <= SIZE + 2 * BLOCK, "a failure costs one more range, not the file"


def test_any_mix_of_faults_gives_the_same_bytes() -> None:
    faults = random.Random(5).choices(["", "503", "reset", "short"], [6, 1, 1, 1], k=200)
    with serving(lambda number: faults[number]) as server, RemoteFile(url(server)) as file:
        assert read_all(file) == DATA
        for offset in (11_000_000, 3, 7_000_000):
            file.seek(offset)
            assert file.read(100_000) == DATA[offset : offset + 100_000]
        assert file.seek(-5, 2) == SIZE - 5
        assert file.read() == DATA[-5:]


def test_a_server_without_ranges_is_read_again_to_the_same_place() -> None:
    with (
        serving(lambda number: "short" if number < 2 else "", has_ranges=False) as server,
        RemoteFile(url(server)) as file,
    ):
        assert read_all(file) == DATA


def test_it_gives_up_in_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(lambda number: "503" if number else "") as server, RemoteFile(url(server)) as file:
        with pytest.raises(Exception, match="503"):
            read_all(file)
        assert server.num_requests == 1 + remote.ATTEMPTS
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == remote.ATTEMPTS - 1
    assert all(f"attempt {n} failed: " in line for n, line in enumerate(lines, 1))


@pytest.mark.parametrize("kind", ["403", "404"])
def test_what_is_forbidden_or_gone_is_not_tried_again(kind: str) -> None:
    with serving(lambda number: kind if number else "") as server, RemoteFile(url(server)) as file:
        with pytest.raises(Exception, match=f"{kind}|a.warc.gz"):
            read_all(file)
        assert server.num_requests == 2


def test_a_port_without_a_server_is_one_line() -> None:
    with serving(lambda number: "") as server:
        gone = url(server)
    with pytest.raises(PathError, match="cannot be opened: "):
        open_file(gone)


def test_pages_of_an_archive_are_the_same(tmp_path: Path) -> None:
    from tests.sampleweb.web import write_web

    write_web(tmp_path, num_pages=20)
    path = tmp_path / "pages-000.warc.gz"
    expected = [item for item in read_archive(str(path)) if isinstance(item, Response)]
    with serving(lambda number: "short" if number == 0 else "", path.read_bytes()) as server:
        found = [item for item in read_archive(url(server)) if isinstance(item, Response)]
    assert found == expected and len(expected) > 5
