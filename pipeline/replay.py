"""Serve archived responses as a forward HTTP proxy on loopback, so that a run fetches images from the archive itself.

Only headers are kept in memory: a response is read from its archive when it is asked for. The proxy knows no TLS;
an address that was captured over https is asked for as http.
"""

import errno
import ipaddress
import re
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from rich.console import Console
from rich.progress import track

from pipeline.inputs import expand
from pipeline.read.captures import Index, read_capture
from schemas.errors import WeftError

IDLE_SECONDS = 60
NOT_PASSED_ON = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}  # of one hop: RFC 9110, section 7.6.1
    | {"content-encoding", "content-length"}  # undone, and counted anew
    | {"alt-svc", "strict-transport-security"}  # lead away from the proxy
)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Handler(BaseHTTPRequestHandler):
    """Answers one connection from the index of its server."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True  # or each body waits until the client acknowledges its headers
    server: "Proxy"

    def do_GET(self) -> None:
        capture = self.server.index.find(self.path.encode("latin-1").decode("utf-8", "replace"))
        if capture is None:
            self._say(404, f"not in the archives: {self.path[:2000]}")
            return
        try:
            found = read_capture(capture)
        except WeftError as error:
            self._say(502, str(error))
            return
        if found is None:
            self._say(502, f"cannot be read back: {self.path[:2000]}")
            return
        message, body = found
        if not 200 <= message.status < 600:
            self._say(502, f"archived with status {message.status}, which answers nothing")
            return
        self.send_response_only(message.status)
        for name, value in message.headers:
            if name.lower() not in NOT_PASSED_ON and HEADER_NAME.fullmatch(name):
                if name.lower() == "location" and value[:8].lower() == "https://":
                    value = f"http://{value[8:]}"
                self.send_header(name, re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", "", value).encode().decode("latin-1"))
        self._finish(None if message.status in (204, 304) else body)

    do_HEAD = do_GET

    def do_CONNECT(self) -> None:
        self.close_connection = True
        self._say(501, "this proxy knows no TLS: ask for https addresses as http")

    def _say(self, status: int, line: str) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self._finish(f"{line}\n".encode())

    def _finish(self, body: bytes | None) -> None:
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: a run asks for thousands of images."""


class Proxy(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, index: Index) -> None:
        self.index = index
        super().__init__((host, port), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Let a connection that its client broke off end in silence."""


def _open_proxy(port: int, warcs: list[str], host: str) -> Proxy:
    try:
        is_loopback = host == "localhost" or ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise WeftError(f"replay serves this machine alone: the host must be 127.0.0.1 or localhost, not {host}")
    console = Console(stderr=True)
    archives = track(expand(warcs), "reading", console=console, transient=True, disable=not console.is_terminal)
    index = Index(archives)
    try:
        return Proxy(host, port, index)
    except (OSError, OverflowError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "the port is in use; choose another" if in_use else str(error)
        raise WeftError(f"replay cannot listen on {host}:{port}: {reason}") from error


def serve(port: int, warcs: list[str], host: str = "127.0.0.1") -> None:
    """Replay archives (paths, globs, listings) until SIGINT or SIGTERM. Port 0 takes a free one.

    Prints one line when it is ready. Raises: PathError for a missing archive; WeftError for a host that is not loopback
    or a port that cannot be had.
    """

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with _open_proxy(port, warcs, host) as proxy:
        former = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            print(f"replaying {len(proxy.index)} responses on http://{host}:{proxy.server_address[1]}", flush=True)
            proxy.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            for name, handler in former.items():
                signal.signal(name, handler)


@contextmanager
def replaying(warcs: list[str]) -> Iterator[int]:
    """Replay archives in a thread, on a free port of 127.0.0.1, which is yielded, for as long as the context lasts."""
    with _open_proxy(0, warcs, "127.0.0.1") as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield int(proxy.server_address[1])
        finally:
            proxy.shutdown()
            thread.join()
