"""HTTP requests with limits on all waits, headers and bodies."""

import http.client
import io
import re
import socket
import ssl
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from pipeline.fetch.network import Network
from pipeline.url import Failure, Url, credentials, parse
from pipeline.warc.http import Message, TooLarge, decode_body
from schemas.display import describe
from schemas.recipe import Fetch

ACCEPT = "image/avif,image/webp,image/png,image/jpeg,image/*;q=0.8,*/*;q=0.5"
STEP_BYTES = 1 << 16
LARGE_BYTES = 1 << 20
MAX_HEAD_BYTES = 1 << 20  # of all heads of a response, including interim ones
MAX_EMPTY_LINES = 4  # before the first line of a response
MAX_VALUE_CHARACTERS = 1 << 16  # of a header, which is truncated
_DISCONNECTED = (ConnectionResetError, BrokenPipeError)  # including RemoteDisconnected
_FRAMING = ("content-length", "transfer-encoding", "connection")  # headers that determine the end of a body
_INTERIM = re.compile(rb"HTTP/1\.\d\s+1(?!01)\d\d\b")  # all but 101, which ends HTTP (RFC 9110, section 15.2)

Key = tuple[str, str, int]  # scheme, host and port of a connection


class DeadlineSocket:
    """A socket for http.client whose reads end at a deadline."""

    def __init__(self, link: socket.socket, read_seconds: float) -> None:
        self.link, self.read_seconds = link, read_seconds
        self.deadline = 0.0
        self.num_read = 0  # bytes of the current response
        self.close = link.close

    def restart(self, deadline: float) -> None:
        """Begin a request that must end by `deadline`, on the monotonic clock."""
        self.deadline, self.num_read = deadline, 0

    def wait(self) -> None:
        """Set the timeout of the next operation. Raises: TimeoutError after the deadline."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.link.settimeout(min(left, self.read_seconds))

    def pause(self, wait: Callable[[], None]) -> None:
        """Wait for a local resource, and extend the deadline by that time."""
        began = time.monotonic()
        wait()
        self.deadline += time.monotonic() - began

    def sendall(self, data: bytes) -> None:
        self.wait()
        self.link.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self), STEP_BYTES)


class _Reader(io.RawIOBase):
    def __init__(self, line: DeadlineSocket) -> None:
        self.line = line
        self.file = line.link.makefile("rb", buffering=0)  # keeps the socket open until the response is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.line.wait()
        num_read = self.file.readinto(buffer)
        self.line.num_read += num_read or 0
        return num_read

    def close(self) -> None:
        self.file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response whose head is parsed here: http.client rejects more than 100 headers, lines above 64 KiB and interim
    responses other than 100, and splits lines at some UTF-8 bytes. It only gets the headers that frame the body.
    """

    fields: list[tuple[str, str]]  # all headers; values are decoded as Latin-1
    fp: Any

    def begin(self) -> None:
        left = MAX_HEAD_BYTES
        while True:
            start, self.fields, num_bytes = _read_head(self.fp, left)
            left -= num_bytes
            if not _INTERIM.match(start):
                break
        framing = "".join(f"{name}: {value}\r\n" for name, value in self.fields if name.lower() in _FRAMING)
        rest, self.fp = self.fp, io.BytesIO(start + framing.encode("latin-1") + b"\r\n" if start else b"")
        super().begin()
        self.fp = rest


def _read_head(file: io.BufferedIOBase, max_bytes: int) -> tuple[bytes, list[tuple[str, str]], int]:
    """Read a head; return its first line (b"" at the end of the stream), its headers, and the number of bytes read.

    Skips up to MAX_EMPTY_LINES empty lines before it (RFC 9112, section 2.2) and lines without a colon; a line that
    begins with white space continues the previous header (section 5.2).
    Raises: HTTPException when the head is longer than max_bytes.
    """
    start, num_bytes, num_empty = b"", 0, 0
    fields: list[tuple[str, list[bytes]]] = []
    while True:
        line = file.readline(max_bytes - num_bytes + 1)
        num_bytes += len(line)
        if num_bytes > max_bytes:
            raise http.client.HTTPException(f"more than {MAX_HEAD_BYTES} bytes of headers")
        if not start:
            if line in (b"\r\n", b"\n") and num_empty < MAX_EMPTY_LINES:
                num_empty += 1
                continue
            start = line
        elif line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line.strip())
        elif colon := line.find(b":") + 1:
            fields.append((line[: colon - 1].strip().decode("latin-1"), [line[colon:].strip()]))
        if not line.strip(b"\r\n"):
            break
    return start, [(n, b" ".join(v).decode("latin-1")[:MAX_VALUE_CHARACTERS]) for n, v in fields], num_bytes


class _Connection(http.client.HTTPConnection):
    auto_open = 0  # else it would reconnect by itself, resolving the name again
    response_class = _Response

    def __init__(self, host: str, port: int, line: DeadlineSocket) -> None:
        super().__init__(host, port)
        self.line = line
        self.sock = line


class Reply:
    """A response whose headers have been read; the body is read on demand."""

    def __init__(self, response: _Response, line: DeadlineSocket) -> None:
        self.response, self.line = response, line
        self.status = response.status
        self.headers = response.fields

    def header(self, name: str) -> str | None:
        """Return the value of the first header with a name, decoded as Latin-1, or None."""
        return next((value for given, value in self.headers if given.lower() == name.lower()), None)

    def location(self, base: str) -> Url | None:
        """Return the target of a redirect, with non-ASCII bytes percent-encoded; None without Location.

        Raises: Failure 'private_address' for an invalid URL.
        """
        value = self.header("Location")
        return parse("".join(c if c.isascii() else f"%{ord(c):02X}" for c in value), base) if value else None

    def body(self, max_bytes: int, cut: bool = False, when_large: Callable[[], None] | None = None) -> bytes:
        """Read the body and decode its content coding.

        Args: cut truncates a longer body instead of failing; when_large is called once when more than LARGE_BYTES have
        been read, or before decompression, and may wait: that time does not count.
        Raises: Failure 'too_large' as early as possible: by its header, while reading or while decompressing;
        'unreachable' when the body is incomplete or cannot be decoded.
        """
        if (self.response.length or 0) > max_bytes and not cut:
            raise Failure("too_large", f"{self.response.length} bytes announced, more than {max_bytes}")
        body = self._read(max_bytes, when_large)
        if len(body) > max_bytes and not cut:
            raise Failure("too_large", f"more than {max_bytes} bytes")
        if len(body) <= max_bytes and self.response.length:
            raise Failure(
                "unreachable", f"the connection ended {self.response.length} bytes before the end of the image"
            )
        if when_large and len(body) <= LARGE_BYTES and self.header("Content-Encoding"):
            when_large()  # its decoded size is unknown
        return self._decode(body[:max_bytes], max_bytes, cut)

    def _read(self, max_bytes: int, when_large: Callable[[], None] | None) -> bytes:
        """Read the encoded body; of a longer one slightly more than max_bytes."""
        parts, size = [], 0
        while size <= max_bytes and (part := self.response.read(STEP_BYTES)):
            parts.append(part)
            if size <= LARGE_BYTES < size + len(part) and when_large:
                self.line.pause(when_large)
            size += len(part)
        return b"".join(parts)

    def _decode(self, body: bytes, max_bytes: int, cut: bool) -> bytes:
        headers = [(name, value) for name, value in self.headers if name.lower() != "transfer-encoding"]
        try:
            body, fault = decode_body(Message(self.status, headers, "", None, body, True), max_bytes)
        except TooLarge as error:
            raise Failure("too_large", f"more than {max_bytes} bytes when decompressed") from error
        if fault and not cut:
            raise Failure("unreachable", f"the body cannot be decompressed: {fault}")
        return body

    def is_over(self) -> bool:
        """Return whether the response is complete, so that its socket can be reused; reads a short remainder."""
        length = self.response.length
        if not self.response.isclosed() and length is not None and length <= STEP_BYTES:
            with suppress(OSError, http.client.HTTPException):
                self.response.read()
        return self.response.isclosed() and not self.response.length


def _basic(proxy: str) -> str | None:
    """Return the Proxy-Authorization for the credentials in a proxy's URL (RFC 7617); None without credentials."""
    user = credentials(proxy)
    return f"Basic {b64encode(b':'.join(user)).decode()}" if user else None


class Client:
    """Requests URLs, without retries, and reuses connections."""

    def __init__(self, config: Fetch, agent: str, network: Network) -> None:
        """Args: agent is the User-Agent header."""
        self.config, self.agent, self.network = config, agent, network
        self.proxy = parse(config.proxy) if config.proxy else None
        self.proxy_authorization = _basic(config.proxy) if config.proxy else None
        self.tls = ssl.create_default_context()
        self.lock = Lock()
        self.idle: OrderedDict[int, tuple[Key, _Connection]] = OrderedDict()

    @contextmanager
    def get(self, place: Url) -> Iterator[Reply]:
        """Request a URL; yield the reply.

        Raises: Failure of any network class, here or while the body is read.
        """
        reply, connection, key = None, None, self._key(place)
        try:
            connection, response = self._send(place, key)
            reply = Reply(response, connection.line)
            yield reply
        except TimeoutError as error:
            raise Failure(
                "timeout", f"no complete response in time ({self._limits()})", is_temporary=True, is_lost=True
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failure("unreachable", describe(error), is_lost=isinstance(error, OSError)) from error
        finally:
            if connection is not None:
                if reply is not None and reply.is_over() and connection.sock is not None:
                    self._keep(key, connection)
                else:
                    if reply is not None:
                        reply.response.close()
                    connection.close()

    def close(self) -> None:
        """Close all idle connections."""
        while self.idle:
            self.idle.popitem()[1][1].close()

    def _limits(self) -> str:
        return f"{self.config.read_seconds:g} s for the next bytes, {self.config.total_seconds:g} s in total"

    def _key(self, place: Url) -> Key:
        next_hop = self.proxy or place
        return next_hop.scheme, next_hop.host, next_hop.port

    def _send(self, place: Url, key: Key) -> tuple[_Connection, _Response]:
        """Send on an idle connection or a new one; also on a new one if the server has closed the idle one."""
        deadline = time.monotonic() + self.config.total_seconds
        if self.proxy:
            self.network.check_name(place.host, place.port)
        connection = self._take_idle(key)
        if connection is not None:
            try:
                return connection, self._exchange(connection, place, deadline)
            except _DISCONNECTED:
                connection.close()
                if connection.line.num_read:
                    raise
            except BaseException:
                connection.close()
                raise
        connection = self._open(key, deadline)
        try:
            return connection, self._exchange(connection, place, deadline)
        except BaseException:
            connection.close()
            raise

    def _open(self, key: Key, deadline: float) -> _Connection:
        scheme, host, port = key
        if self.proxy:  # set in the recipe, so any address is allowed
            link = socket.create_connection((host, port), self.config.connect_seconds)
        else:
            link = self.network.connect(host, port, deadline)
        if scheme == "https":
            try:
                link.settimeout(max(0.001, min(self.config.connect_seconds, deadline - time.monotonic())))
                link = self.tls.wrap_socket(link, server_hostname=host)
            except BaseException:
                link.close()
                raise
        return _Connection(host, port, DeadlineSocket(link, self.config.read_seconds))

    def _exchange(self, connection: _Connection, place: Url, deadline: float) -> _Response:
        connection.line.restart(deadline)
        connection.putrequest(
            "GET", place.url if self.proxy else place.target, skip_host=True, skip_accept_encoding=True
        )
        connection.putheader("Host", place.authority)
        if self.proxy_authorization:
            connection.putheader("Proxy-Authorization", self.proxy_authorization)
        connection.putheader("User-Agent", self.agent)
        connection.putheader("Accept", ACCEPT)
        connection.putheader("Accept-Encoding", "identity")
        connection.endheaders()
        response = connection.getresponse()
        assert isinstance(response, _Response)
        return response

    def _take_idle(self, key: Key) -> _Connection | None:
        with self.lock:
            for number, (idle_key, connection) in self.idle.items():
                if idle_key == key:
                    del self.idle[number]
                    return connection
        return None

    def _keep(self, key: Key, connection: _Connection) -> None:
        with self.lock:
            self.idle[id(connection)] = key, connection
            if len(self.idle) > self.config.threads:
                self.idle.popitem(last=False)[1][1].close()
