"""One connection to the faulty server: requests are read, counted and answered in order."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from tests.sampleweb.faulty.answers import Answer, End, response

if TYPE_CHECKING:
    from tests.sampleweb.faulty.server import Server

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all


class Connection(asyncio.Protocol):
    """A hand-written server of HTTP/1.1: the clients, which are what is measured, share its cores."""

    transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None  # sends the rest of an answer
        self.drained: asyncio.Future[None] | None = None  # while the client reads more slowly than we write

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.address: str = transport.get_extra_info("sockname")[0]
        self.server.connections.add(self)
        self.server.tally.connected(self.address)

    def connection_lost(self, error: Exception | None) -> None:
        self.server.connections.discard(self)
        self.server.tally.disconnected(self.address)
        if self.task:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.task is None and b"\r\n\r\n" in self.buffer and not self.transport.is_closing():
            request, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self._receive(request)

    def pause_writing(self) -> None:
        self.drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self.drained and not self.drained.done():
            self.drained.set_result(None)
        self.drained = None

    def _receive(self, request: bytes) -> None:
        first, *lines = request.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path = first.split(" ")[1]
        keeps = first.endswith("HTTP/1.1") and fields.get("connection", "").lower() != "close"
        tally = self.server.tally
        if path == "/_requests":
            self._end(Answer(response(200, tally.as_json(), "application/json")), keeps)
        elif path == "/_reset":
            tally.reset()
            self._end(Answer(response(200)), keeps)
        else:
            self._answer(fields.get("host", "").partition(":")[0], path, keeps)

    def _answer(self, host: str, path: str, keeps: bool) -> None:
        tally = self.server.tally
        answer = self.server.answer(host, path, tally.asked(host, path))
        kind = path.split("/", 2)[1]
        tally.sent_bytes[kind] += len(answer.start)
        if answer.rest is None:
            tally.answered(host)
            self._end(answer, keeps)
        else:
            self.transport.write(answer.start)
            self.task = asyncio.create_task(self._go_on(host, kind, answer, answer.rest, keeps))

    async def _go_on(self, host: str, kind: str, answer: Answer, rest: AsyncGenerator[bytes], keeps: bool) -> None:
        try:
            async with aclosing(rest):
                async for piece in rest:
                    self.server.tally.sent_bytes[kind] += len(piece)
                    self.transport.write(piece)
                    await (self.drained or asyncio.sleep(0))  # others have their turn
        finally:
            self.server.tally.answered(host)
        self.task = None
        self._end(Answer(b"", end=answer.end), keeps)
        self.data_received(b"")  # what was asked meanwhile

    def _end(self, answer: Answer, keeps: bool) -> None:
        self.transport.write(answer.start)
        if answer.end is End.RESET:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()
        elif answer.end is End.CLOSE or not keeps:
            self.transport.close()
