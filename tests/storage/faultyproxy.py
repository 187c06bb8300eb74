"""An HTTP proxy before an S3 server: it counts requests and, on demand, fails some of them.

It forwards heads and bodies as they are, so signatures stay valid, and keeps connections open.
"""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message><RequestId>0</RequestId></Error>"
)
MAX_HEAD_BYTES = 1 << 20
PIECE_BYTES = 1 << 16
DELAY_SECONDS = 1.0
NO_BODY = (204, 304)

Fault = Callable[[int], str]
"""From the number of a request to "" for none, "503", "cut" (in the middle of the response) or "delay"."""


def no_fault(number: int) -> str:
    return ""


def some_faults(number: int) -> str:
    """Fail 2 % of requests with 503, cut 1 % and delay 1 %; the same ones each time."""
    drawn = random.Random(number).random()
    return "503" if drawn < 0.02 else "cut" if drawn < 0.03 else "delay" if drawn < 0.04 else ""


@dataclass(frozen=True)
class Request:
    """A request, when it came, and what the proxy did to it."""

    method: str
    path: str
    query: str
    fault: str
    seconds: float
    agent: str

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and ("list-type=" in self.query or self.path.count("/") < 2)

    @property
    def name(self) -> str:
        """The method, or LIST, which S3 charges differently."""
        return "LIST" if self.is_list else self.method


@dataclass
class Proxy:
    """A running proxy: its port, and the requests so far in their order."""

    upstream: int
    fault: Fault
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def faults(self) -> Counter[str]:
        return Counter(request.fault for request in list(self.requests) if request.fault)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the requests of one connection over one connection to the server."""
        server: asyncio.StreamWriter | None = None
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.upstream, limit=MAX_HEAD_BYTES)
            while await self._forward(reader, writer, answers, server):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # one of both has closed
            pass
        finally:
            for each in filter(None, (writer, server)):
                with suppress(OSError, RuntimeError):
                    each.close()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> bool:
        """Forward one request and its response; return whether the connection goes on."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, headers = _parse(head)
        method, target, _ = first.split(" ", 2)
        path, _, query = target.partition("?")
        fault = self.fault(len(self.requests))
        agent = headers.get("user-agent", "")
        self.requests.append(Request(method, unquote(path), unquote(query), fault, time.monotonic(), agent))
        if fault == "503":
            return await self._refuse(method, headers, reader, writer)
        if fault == "delay":
            await asyncio.sleep(DELAY_SECONDS)
        server.write(head)
        await server.drain()
        answer = b""
        if headers.get("expect", "").lower() == "100-continue":
            answer = await answers.readuntil(b"\r\n\r\n")
            if _status(answer) == 100:
                writer.write(answer)
                await writer.drain()
                answer = b""
        if not answer:
            await _copy_body(headers, reader, server)
            answer = await answers.readuntil(b"\r\n\r\n")
        while _status(answer) in (100, 103):
            answer = await answers.readuntil(b"\r\n\r\n")
        _, fields = _parse(answer)
        is_empty = method == "HEAD" or _status(answer) in NO_BODY or fields.get("content-length") == "0"
        if fault == "cut":
            await _cut(answer, fields, is_empty, answers, writer)
            return False
        writer.write(answer)
        ends = "close" in (headers.get("connection", "").lower(), fields.get("connection", "").lower())
        if not is_empty:
            is_sized = "content-length" in fields or "transfer-encoding" in fields
            await (_copy_body(fields, answers, writer) if is_sized else _copy(answers, writer, None))
            ends = ends or not is_sized
        await writer.drain()
        return not ends

    async def _refuse(
        self, method: str, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer 503 SlowDown, as S3 does; return whether the connection goes on."""
        waits = headers.get("expect", "").lower() == "100-continue"  # and sends no body after another status
        if not waits:
            await _copy_body(headers, reader, None)
        lines = ["HTTP/1.1 503 Slow Down", "Content-Type: application/xml", f"Content-Length: {len(SLOW_DOWN)}"]
        lines += ["x-amz-request-id: 0", *(["Connection: close"] if waits else [])]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else SLOW_DOWN))
        await writer.drain()
        return not waits


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    """Return the first line of a head, and its fields with names in lower case."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    return first, {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, num_bytes: int | None) -> None:
    """Copy so many bytes, or all until the end; without a writer, drop them."""
    while num_bytes is None or num_bytes > 0:
        piece = await reader.read(PIECE_BYTES if num_bytes is None else min(PIECE_BYTES, num_bytes))
        if not piece:
            if num_bytes is None:
                return
            raise ConnectionResetError
        if num_bytes is not None:
            num_bytes -= len(piece)
        if writer:
            writer.write(piece)
            await writer.drain()


async def _copy_body(
    headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None
) -> None:
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        await _copy(reader, writer, int(headers.get("content-length", 0)))
        return
    while True:
        line = await reader.readuntil(b"\r\n")
        if writer:
            writer.write(line)
        if size := int(line.split(b";")[0], 16):
            await _copy(reader, writer, size + 2)
            continue
        while line != b"\r\n":  # trailers
            line = await reader.readuntil(b"\r\n")
            if writer:
                writer.write(line)
        if writer:
            await writer.drain()
        return


async def _cut(
    head: bytes, fields: dict[str, str], is_empty: bool, answers: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Send half of a response and reset the connection; the server has done what it was asked."""
    if is_empty:
        writer.write(head[: len(head) // 2])
    else:
        writer.write(head)
        await _copy(answers, writer, int(fields.get("content-length", 2)) // 2)
    await writer.drain()
    writer.transport.abort()


@contextmanager
def proxying(upstream: int, fault: Fault = no_fault) -> Iterator[Proxy]:
    """Run a proxy before a server at a port of loopback, in a thread."""
    proxy, ready, loop = Proxy(upstream, fault), threading.Event(), asyncio.new_event_loop()

    async def start() -> asyncio.Server:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=MAX_HEAD_BYTES)
        proxy.port = server.sockets[0].getsockname()[1]
        ready.set()
        return server

    def work() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(start())
        loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, name="proxy", daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
