"""Serve archived responses as an HTTP proxy on loopback, so that a run fetches images from the archive."""

import errno
import ipaddress
import re
import signal
import socketserver
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from urllib.parse import quote, unquote_to_bytes

from rich.console import Console
from rich.progress import track

from pipeline.url import PORTS, Failure, parse
from pipeline.warc.http import Message, TooLarge, decode_body, parse_message
from pipeline.warc.inputs import expand
from pipeline.warc.records import MAX_HEAD_BYTES, Record
from pipeline.warc.responses import scan, to_utc
from schemas.errors import WeftError

MAX_BODY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, order=True)
class Capture:
    """The location of a response; ordered by time, so that the maximum is the newest."""

    captured_at: str
    path: str
    offset: int
    member: int


class Index:
    """The newest capture of each URL in some archives; a revisit is resolved to the capture that it refers to."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Scan the archives. Raises: PathError when one cannot be opened or read."""
        self._captures: dict[str, Capture] = {}
        self._unquoted: dict[str, Capture] = {}
        revisits = []
        by_place: dict[tuple[str, str], Capture] = {}
        by_digest: dict[str, Capture] = {}
        for path in paths:
            for item in scan(path, MAX_HEAD_BYTES):
                if not isinstance(item, Record) or (key := address_key(item.url)) is None:
                    continue
                capture = Capture(_date(item, "warc-date"), path, item.place.offset, item.place.member)
                if item.kind == "revisit":
                    revisits.append((key, capture, item))
                elif item.kind in ("response", "resource") and parse_message(item):
                    self._add(key, capture)
                    by_place[key, capture.captured_at] = capture
                    by_digest[item.headers.get("warc-payload-digest", "")] = capture
        by_digest.pop("", None)
        for key, revisit, record in revisits:
            referred = address_key(record.headers.get("warc-refers-to-target-uri", "").strip("<> ")) or key
            origin = by_place.get((referred, _date(record, "warc-refers-to-date"))) or by_digest.get(
                record.headers.get("warc-payload-digest", "")
            )
            if origin:
                self._add(key, Capture(revisit.captured_at, origin.path, origin.offset, origin.member))

    def __len__(self) -> int:
        return len(self._captures)

    def find(self, url: str) -> Capture | None:
        """Return the newest capture of a URL, or else of one that only differs in percent-encoding."""
        key = address_key(url)
        return None if key is None else self._captures.get(key) or self._unquoted.get(_requote(key))

    def _add(self, key: str, capture: Capture) -> None:
        for captures, name in ((self._captures, key), (self._unquoted, _requote(key))):
            captures[name] = max(captures.get(name, capture), capture)


def _date(record: Record, header: str) -> str:
    return to_utc(record.headers.get(header, ""))


def address_key(url: str) -> str | None:
    """Return a URL without scheme, default port and fragment; None when it is not http(s)."""
    try:
        place = parse(url)
    except Failure:
        return None
    location = place.host if place.port in PORTS.values() else f"{place.host}:{place.port}"
    return location + place.target


def _requote(key: str) -> str:
    return quote(unquote_to_bytes(key))


def read_capture(capture: Capture) -> tuple[Message, bytes] | None:
    """Read a response from its archive; None when it is too large, or the file has changed."""
    for item in scan(capture.path, MAX_BODY_BYTES + MAX_HEAD_BYTES, capture.member):
        if isinstance(item, Record) and item.place.offset == capture.offset:
            message = parse_message(item)
            try:
                return (message, decode_body(message, MAX_BODY_BYTES)[0]) if message else None
            except TooLarge:
                return None
        if isinstance(item, Record) and item.place.offset > capture.offset:
            break
    return None


IDLE_SECONDS = 60
NOT_PASSED_ON = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}  # hop-by-hop: RFC 9110, section 7.6.1
    | {"content-encoding", "content-length"}  # the body is decoded
    | {"alt-svc", "strict-transport-security"}  # would bypass the proxy
)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Handler(BaseHTTPRequestHandler):
    """Handles one connection with the index of its server."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True  # else each body waits until the client acknowledges its headers
    server: "Proxy"

    def do_GET(self) -> None:
        capture = self.server.index.find(self.path.encode("latin-1").decode("utf-8", "replace"))
        if capture is None:
            self._send_error(404, f"not in the archives: {self.path[:2000]}")
            return
        try:
            found = read_capture(capture)
        except WeftError as error:
            self._send_error(502, str(error))
            return
        if found is None:
            self._send_error(502, f"cannot be read: {self.path[:2000]}")
            return
        message, body = found
        if not 200 <= message.status < 600:
            self._send_error(502, f"archived with invalid status {message.status}")
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
        self._send_error(501, "this proxy does not support TLS: request https URLs as http")

    def _send_error(self, status: int, line: str) -> None:
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
        """Log nothing: a run requests thousands of images."""


class Proxy(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, index: Index) -> None:
        self.index = index
        super().__init__((host, port), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore connections that the client closed."""


def _open_proxy(port: int, warcs: list[str], host: str) -> Proxy:
    try:
        is_loopback = host == "localhost" or ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise WeftError(f"replay only serves this machine: the host must be 127.0.0.1 or localhost, not {host}")
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
    """Replay archives (paths, globs, listings) until SIGINT or SIGTERM. Port 0 selects a free one.

    Prints one line when it is ready. Raises: PathError for a missing archive; WeftError for a host that is not loopback
    or a port that is not available.
    """

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with _open_proxy(port, warcs, host) as proxy:
        previous = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            print(f"replaying {len(proxy.index)} responses on http://{host}:{proxy.server_address[1]}", flush=True)
            proxy.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            for name, handler in previous.items():
                signal.signal(name, handler)


@contextmanager
def replaying(warcs: list[str]) -> Iterator[int]:
    """Replay archives in a thread during the context; yield the port on 127.0.0.1."""
    with _open_proxy(0, warcs, "127.0.0.1") as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield int(proxy.server_address[1])
        finally:
            proxy.shutdown()
            thread.join()
