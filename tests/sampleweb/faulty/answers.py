"""Answers of the server: sent in one piece or slowly, and what happens to the connection."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

PIECE_SECONDS = 0.5
BLOCK_BYTES = 1 << 16


class End(Enum):
    """What becomes of the connection after an answer."""

    KEEP = "kept open, unless the client wants it closed"
    CLOSE = "closed"
    RESET = "reset"


@dataclass(frozen=True)
class Answer:
    """Bytes that are sent at once, and more that follow."""

    start: bytes
    rest: AsyncGenerator[bytes] | None = None
    end: End = End.KEEP


def head(status: int, *headers: str) -> bytes:
    """Return a status line and headers."""
    return "\r\n".join([f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *headers, "", ""]).encode("latin-1")


def response(status: int, body: bytes = b"", media_type: str = "text/html", *headers: str) -> bytes:
    """Return a whole response, which tells its length; an empty media type is not told."""
    types = [f"Content-Type: {media_type}"] if media_type else []
    return head(status, *types, f"Content-Length: {len(body)}", *headers) + body


async def silence() -> AsyncGenerator[bytes]:
    """Send nothing, for ever."""
    await asyncio.Event().wait()
    yield b""


async def late(seconds: float, data: bytes) -> AsyncGenerator[bytes]:
    """Send everything, but not yet."""
    await asyncio.sleep(seconds)
    yield data


async def drip(seconds: float, data: bytes, then: bytes = b"") -> AsyncGenerator[bytes]:
    """Send data in pieces spread over some seconds, each about PIECE_SECONDS after the one before; then the others."""
    num_gaps = max(1, round(seconds / PIECE_SECONDS))
    size = -(-len(data) // (num_gaps + 1))
    for start in range(0, len(data), size):
        if start:
            await asyncio.sleep(seconds / num_gaps)
        yield data[start : start + size]
    yield then


async def zeros(num_bytes: int) -> AsyncGenerator[bytes]:
    """Send that many zeros."""
    for start in range(0, num_bytes, BLOCK_BYTES):
        yield bytes(min(BLOCK_BYTES, num_bytes - start))


async def repeated(data: bytes) -> AsyncGenerator[bytes]:
    """Send the same bytes again and again, for ever."""
    for _ in itertools.count():
        yield data
