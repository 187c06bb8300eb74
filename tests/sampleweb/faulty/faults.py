"""Answers of the faulty server: the first part of a path names the behaviour, the last the image.

/ok/7.jpg is sound, /busy/2/1/7.jpg says 429 with `Retry-After: 1` twice and then is, and so on through BEHAVIOURS. In
/to/STATUS/ADDRESS and /tagged/VALUE/7.jpg a part is percent-encoded, and is sent as those bytes. /hinted/2/7.jpg sends
two interim responses first, /headers/300/7.jpg so many headers, /long/70000/7.jpg one of so many bytes. An unknown
behaviour is a 404.
"""

import email.utils
import gzip
import re
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from tests.sampleweb.faulty.answers import (
    BLOCK_BYTES,
    Answer,
    End,
    drip,
    head,
    late,
    repeated,
    response,
    silence,
    zeros,
)
from tests.sampleweb.faulty.gallery import NUM_PICTURES, picture
from tests.sampleweb.pictures import ERROR_PAGE

BOMB_BYTES = 100_000_000
WIDE_PIXELS = 65_536


@dataclass(frozen=True)
class Asked:
    """A request: what stands between the behaviour and the name, and how often the same was asked before."""

    values: list[str]
    name: str
    num_earlier: int

    @property
    def number(self) -> int:
        return int("".join(re.findall(r"\d", self.name)) or 0) % NUM_PICTURES

    @property
    def seconds(self) -> float:
        return float(self.values[0])


def answer(path: str, num_earlier: int) -> Answer:
    """Return the answer to a request for a path that was asked for `num_earlier` times before."""
    kind, _, rest = path.partition("?")[0][1:].partition("/")
    *values, name = rest.split("/")
    return BEHAVIOURS.get(kind, _missing)(Asked(values, name, num_earlier))


def _missing(asked: Asked) -> Answer:
    return Answer(response(404, ERROR_PAGE))


@cache
def _sound(number: int, *headers: str, media_type: str | None = None) -> Answer:
    own_type, body = picture(number)
    return Answer(response(200, body, own_type if media_type is None else media_type, *headers))


def _first(answer: Answer) -> Callable[[Asked], Answer]:
    """Give this answer as often as the first value says, then the picture."""
    return lambda asked: answer if asked.num_earlier < int(asked.values[0]) else _sound(asked.number)


def _busy(asked: Asked) -> Answer:
    return _first(Answer(response(429, ERROR_PAGE, "text/html", f"Retry-After: {asked.values[1]}")))(asked)


def _busy_date(asked: Asked) -> Answer:
    date = email.utils.formatdate(time.time() + float(asked.values[1]), usegmt=True)
    return _first(Answer(response(429, ERROR_PAGE, "text/html", f"Retry-After: {date}")))(asked)


def _moved(target: str, status: int = 301) -> Answer:
    return Answer(response(status, b"", "text/html", f"Location: {target}"))


def _chain(asked: Asked) -> Answer:
    left = int(asked.values[0]) - 1
    return _moved(f"/chain/{left}/{asked.name}" if left else f"/ok/{asked.name}")


def _loop(asked: Asked) -> Answer:
    return _moved(f"/loop/{asked.name}" if asked.values else f"/loop/back/{asked.name}")


def _hinted(asked: Asked) -> Answer:
    hints = head(103, "Link: </style.css>; rel=preload", "Content-Length: 5") * int(asked.values[0])
    return Answer(head(100) + hints + _sound(asked.number).start)


def _drip(asked: Asked) -> Answer:
    start, end, body = _sound(asked.number).start.partition(b"\r\n\r\n")
    return Answer(start + end, drip(asked.seconds, body))


def _drip_headers(asked: Asked) -> Answer:
    start, end, body = _sound(asked.number).start.partition(b"\r\n\r\n")
    return Answer(b"", drip(asked.seconds, start + end, body))


def _endless(asked: Asked) -> Answer:
    chunk = b"%x\r\n%b\r\n" % (BLOCK_BYTES, bytes(BLOCK_BYTES))
    return Answer(head(200, "Content-Type: image/jpeg", "Transfer-Encoding: chunked"), repeated(chunk))


def _huge(asked: Asked) -> Answer:
    num_bytes = int(asked.values[0])
    return Answer(head(200, "Content-Type: image/jpeg", f"Content-Length: {num_bytes}"), zeros(num_bytes))


@cache
def _bomb() -> Answer:
    packer = zlib.compressobj(9, wbits=31)
    packed = packer.compress(bytes(BOMB_BYTES)) + packer.flush()
    return Answer(response(200, packed, "image/jpeg", "Content-Encoding: gzip"))


def _gzipped(asked: Asked) -> Answer:
    media_type, body = picture(asked.number)
    return Answer(response(200, gzip.compress(body), media_type, "Content-Encoding: gzip"))


def _broken(end: End) -> Callable[[Asked], Answer]:
    """Promise a whole picture and end in the middle of it."""
    return lambda asked: Answer(_sound(asked.number).start[:-1000], end=end)


@cache
def _wide() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", WIDE_PIXELS, WIDE_PIXELS, 8, 2, 0, 0, 0)  # 8 bits a channel, RGB
    pixels = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


BEHAVIOURS: dict[str, Callable[[Asked], Answer]] = {
    "ok": lambda asked: _sound(asked.number),
    "private": lambda asked: _sound(asked.number),  # what robots.txt forbids is there for those who do not ask
    "beyond": lambda asked: _sound(asked.number),
    "missing": _missing,
    "forbidden": lambda asked: Answer(response(403, ERROR_PAGE)),
    "gone": lambda asked: Answer(response(410, ERROR_PAGE)),
    "error": lambda asked: Answer(response(500, ERROR_PAGE)),
    "busy": _busy,
    "busydate": _busy_date,
    "flaky": _first(Answer(response(503, ERROR_PAGE))),
    "late": lambda asked: Answer(b"", late(asked.seconds, _sound(asked.number).start)),
    "drip": _drip,
    "dripheaders": _drip_headers,
    "silent": lambda asked: Answer(b"", silence()),
    "endless": _endless,
    "huge": _huge,
    "bomb": lambda asked: _bomb(),
    "gzipped": _gzipped,
    "mistyped": lambda asked: _sound(asked.number, media_type="text/html"),
    "untyped": lambda asked: _sound(asked.number, media_type=""),
    "page": lambda asked: Answer(response(200, ERROR_PAGE)),
    "noai": lambda asked: _sound(asked.number, "X-Robots-Tag: noai"),
    "tagged": lambda asked: _sound(asked.number, f"X-Robots-Tag: {unquote(asked.values[0], 'latin-1')}"),
    "reserved": lambda asked: _sound(asked.number, "tdm-reservation: 1"),
    "chain": _chain,
    "loop": _loop,
    "to": lambda asked: _moved(unquote(asked.name, "latin-1"), int(asked.values[0])),
    "hinted": _hinted,
    "headers": lambda asked: _sound(asked.number, *(f"X-{n}: {n}" for n in range(int(asked.values[0])))),
    "long": lambda asked: _sound(asked.number, f"X-Long: {'x' * int(asked.values[0])}"),
    "cut": _broken(End.CLOSE),
    "reset": _broken(End.RESET),
    "garbage": lambda asked: Answer(bytes(range(256)) * 4, end=End.CLOSE),
    "stale": lambda asked: Answer(_sound(asked.number).start, end=End.CLOSE),
    "empty": lambda asked: Answer(response(200, b"", "image/jpeg")),
    "wide": lambda asked: Answer(response(200, _wide(), "image/png")),
}
