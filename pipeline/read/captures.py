"""Find the capture of an address, and read it back from its archive without reading what stands before it."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from pipeline.fetch.failure import Failure
from pipeline.fetch.url import PORTS, parse
from pipeline.read.archive import scan
from pipeline.read.dates import to_utc
from pipeline.read.message import Message, TooLarge, decode_body, parse_message
from pipeline.read.records import MAX_HEAD_BYTES, Record

MAX_BODY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, order=True)
class Capture:
    """Where a response stands; ordered by time, so that the greatest is the newest."""

    captured_at: str
    path: str
    offset: int
    member: int


class Index:
    """The newest capture of every address in some archives; a revisit stands for the capture that it refers to."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Go through the archives once. Raises: PathError when one cannot be opened or read."""
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
        """Return the newest capture of an address, or else of one that differs in nothing but percent-encoding."""
        key = address_key(url)
        return None if key is None else self._captures.get(key) or self._unquoted.get(_requote(key))

    def _add(self, key: str, capture: Capture) -> None:
        for captures, name in ((self._captures, key), (self._unquoted, _requote(key))):
            captures[name] = max(captures.get(name, capture), capture)


def _date(record: Record, header: str) -> str:
    return to_utc(record.headers.get(header, ""))


def address_key(url: str) -> str | None:
    """Return what addresses of one thing share: no scheme, no default port, no fragment; None outside the web."""
    try:
        place = parse(url)
    except Failure:
        return None
    location = place.host if place.port in PORTS.values() else f"{place.host}:{place.port}"
    return location + place.target


def _requote(key: str) -> str:
    return quote(unquote_to_bytes(key))


def read_capture(capture: Capture) -> tuple[Message, bytes] | None:
    """Read a response back from its archive; None when it is too large, or the file has changed."""
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
