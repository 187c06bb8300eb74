"""HTTP requests of which every wait, every header and every body has an end."""

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
MAX_HEAD_BYTES = 1 << 20  # of all heads of an answer, interim ones included
MAX_EMPTY_LINES = 4  # before the first line of an answer
MAX_VALUE_CHARACTERS = 1 << 16  # of a header; what stands behind does not count
_GONE = (ConnectionResetError, BrokenPipeError)  # RemoteDisconnected among them
_FRAMING = ("content-length", "transfer-encoding", "connection")  # headers that say where a body ends
_INTERIM = re.compile(rb"HTTP/1\.\d\s+1(?!01)\d\d\b")  # all but 101, which ends HTTP (RFC 9110, section 15.2)

Key = tuple[str, str, int]  # scheme, host and port that a socket leads to


class Line:
    """A socket as http.client takes it, of which no read may last beyond a deadline."""

    def __init__(self, link: socket.socket, read_seconds: float) -> None:
        self.link, self.read_seconds = link, read_seconds
        self.deadline = 0.0
        self.num_read = 0  # bytes of the answer under way
        self.close = link.close

    def restart(self, deadline: float) -> None:
        """Begin a request, which may last until a time of the monotonic clock."""
        self.deadline, self.num_read = deadline, 0

    def wait(self) -> None:
        """Have the next operation end in time."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.link.settimeout(min(left, self.read_seconds))

    def pause(self, wait: Callable[[], None]) -> None:
        """Wait for something of our own, whose time is not the server's."""
        began = time.monotonic()
        wait()
        self.deadline += time.monotonic() - began

    def sendall(self, data: bytes) -> None:
        self.wait()
        self.link.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self), STEP_BYTES)


class _Reader(io.RawIOBase):
    def __init__(self, line: Line) -> None:
        self.line = line
        self.file = line.link.makefile("rb", buffering=0)  # keeps the socket open until the answer is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.line.wait()
        taken = self.file.readinto(buffer)
        self.line.num_read += taken or 0
        return taken

    def close(self) -> None:
        self.file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response whose head is read here: http.client refuses more than 100 headers, lines above 64 KiB and interim
    responses other than 100, and takes some bytes of UTF-8 for ends of lines. It gets the headers that frame the body.
    """

    fields: list[tuple[str, str]]  # all headers; each byte of a value is a character
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
    """Read a head; return its first line, b"" when nothing comes, its headers, and how many bytes it took.

    Empty lines before it are passed over, MAX_EMPTY_LINES at most, as servers do before a request (RFC 9112, section
    2.2). A line without a colon is passed over; one that begins with white space goes on with the header before it
    (section 5.2). Raises: HTTPException when the head is longer than max_bytes.
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
    auto_open = 0  # else it would connect by itself, to whatever the name means by then
    response_class = _Response

    def __init__(self, host: str, port: int, line: Line) -> None:
        super().__init__(host, port)
        self.line = line
        self.sock = line


class Reply:
    """An answer whose headers have come; the body comes when it is asked for."""

    def __init__(self, response: _Response, line: Line) -> None:
        self.response, self.line = response, line
        self.status = response.status
        self.headers = response.fields

    def header(self, name: str) -> str | None:
        """Return the value of the first header of a name, or None; each byte of it is a character."""
        return next((value for given, value in self.headers if given.lower() == name.lower()), None)

    def location(self, base: str) -> Url | None:
        """Return where a redirect leads; None when it does not say. Bytes beyond ASCII are percent-encoded as they are.

        Raises: Failure 'private_address' for what is no address of the web.
        """
        value = self.header("Location")
        return parse("".join(c if c.isascii() else f"%{ord(c):02X}" for c in value), base) if value else None

    def body(self, max_bytes: int, cut: bool = False, when_large: Callable[[], None] | None = None) -> bytes:
        """Read the body and undo its content coding.

        Args: cut says that what is longer is cut there, instead of failing; when_large is called once when more
        than LARGE_BYTES have come, or are to be decompressed, and may wait: that time does not count.
        Raises: Failure 'too_large' as soon as it is known, whether by its header, while reading or while decompressing.
        """
        if (self.response.length or 0) > max_bytes and not cut:
            raise Failure("too_large", f"{self.response.length} bytes announced, more than {max_bytes}")
        body = self._read(max_bytes, when_large)
        if len(body) > max_bytes and not cut:
            raise Failure("too_large", f"more than {max_bytes} bytes")
        if len(body) <= max_bytes and self.response.length:
            raise Failure("unreachable", f"the connection ended {self.response.length} bytes before the image did")
        if when_large and len(body) <= LARGE_BYTES and self.header("Content-Encoding"):
            when_large()  # nobody knows how much is in it
        return self._decode(body[:max_bytes], max_bytes, cut)

    def _read(self, max_bytes: int, when_large: Callable[[], None] | None) -> bytes:
        """Read the body as it was sent; of a longer one a little more than max_bytes."""
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
        """Tell whether nothing more comes, so that its socket may serve again; a short rest is read for that."""
        length = self.response.length
        if not self.response.isclosed() and length is not None and length <= STEP_BYTES:
            with suppress(OSError, http.client.HTTPException):
                self.response.read()
        return self.response.isclosed() and not self.response.length


def _basic(proxy: str) -> str | None:
    """Return the value of Proxy-Authorization for the user and password in an address (RFC 7617); None without."""
    found = credentials(proxy)
    return f"Basic {b64encode(b':'.join(found)).decode()}" if found else None


class Client:
    """Asks for addresses, each once, with sockets that are kept for the next request to the same place."""

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
        """Ask for an address; yield the reply.

        Raises: Failure of any class of the network, here or while the body is read.
        """
        reply, connection, key = None, None, self._key(place)
        try:
            connection, response = self._send(place, key)
            reply = Reply(response, connection.line)
            yield reply
        except TimeoutError as error:
            raise Failure(
                "timeout", f"no whole answer in time ({self._limits()})", passes=True, is_lost=True
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
        """Close every socket that is kept."""
        while self.idle:
            self.idle.popitem()[1][1].close()

    def _limits(self) -> str:
        return f"{self.config.read_seconds:g} s for the next bytes, {self.config.total_seconds:g} s for all"

    def _key(self, place: Url) -> Key:
        next_hop = self.proxy or place
        return next_hop.scheme, next_hop.host, next_hop.port

    def _send(self, place: Url, key: Key) -> tuple[_Connection, _Response]:
        """Send on a kept socket, or a new one; a kept one that its server has closed meanwhile does not count."""
        deadline = time.monotonic() + self.config.total_seconds
        if self.proxy:
            self.network.check_name(place.host, place.port)
        connection = self._kept(key)
        if connection is not None:
            try:
                return connection, self._exchange(connection, place, deadline)
            except _GONE:
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
        if self.proxy:  # named by the recipe, so it may lie anywhere
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
        return _Connection(host, port, Line(link, self.config.read_seconds))

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

    def _kept(self, key: Key) -> _Connection | None:
        with self.lock:
            for number, (kept, connection) in self.idle.items():
                if kept == key:
                    del self.idle[number]
                    return connection
        return None

    def _keep(self, key: Key, connection: _Connection) -> None:
        with self.lock:
            self.idle[id(connection)] = key, connection
            if len(self.idle) > self.config.threads:
                self.idle.popitem(last=False)[1][1].close()
