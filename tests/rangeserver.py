"""A web server of a file or some files, with ranges, that fails on demand."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SIZE = 12_000_000
DATA = random.Random(22).randbytes(SIZE)

Fault = Callable[[int], str]  # from the number of a request for bytes to "", "503", "403", "reset" or "short"


class Server(ThreadingHTTPServer):
    data = DATA
    has_ranges = True

    def __init__(self, fault: Fault) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.num_requests, self.num_bytes = fault, 0, 0
        self.files: dict[str, bytes] = {}  # by path, in place of data
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def _data(self) -> bytes | None:
        return self.server.files.get(self.path) if self.server.files else self.server.data

    def do_HEAD(self) -> None:
        data = self._data()
        self._head(404 if data is None else 200, len(data or b""))

    def do_GET(self) -> None:
        with self.server.lock:
            number = self.server.num_requests
            self.server.num_requests += 1
        if (whole := self._data()) is None:
            self._head(404, 0)
            return
        start, end, status = 0, len(whole), 200
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
        data = whole[start : end if not fault else (start + end) // 2]
        self.server.num_bytes += len(data)
        self.wfile.write(data)
        if fault:
            self.close_connection = True

    def _head(self, status: int, size: int, start: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + size - 1}/{len(self._data() or b'')}")
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
