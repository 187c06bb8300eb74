"""tdmrep.json (TDMRep): which addresses of a site are reserved from text and data mining."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.consent.robots import MAX_BYTES, Robots

MAX_RULES = 1_000  # 30 ms to read, 6 ms to judge an address; what stands behind does not count


@dataclass(frozen=True)
class Reservations:
    """The rules of a tdmrep.json in their order: the addresses that each is about, and whether it reserves them.

    The file has a robots.txt's patterns, so a robots.txt that refuses a rule's location alone tells which they are.
    Source: TDM Reservation Protocol, W3C community group final report of 10 May 2024, "TDM File on the Origin Server".
    """

    rules: tuple[tuple[Robots, bool], ...]

    @classmethod
    def read(cls, status: int, body: bytes) -> "Reservations":
        """Understand the answer to a request for /.well-known/tdmrep.json. Never raises.

        Without a valid file the site does not implement the protocol, and reserves nothing by it. A rule without a
        location, or of another value than 0 and 1, is passed over.
        """
        listed = _parse(body) if status == 200 and len(body) <= MAX_BYTES else None
        rules = (_rule(item) for item in listed[:MAX_RULES]) if isinstance(listed, list) else ()
        return cls(tuple(rule for rule in rules if rule))

    def refuses(self, url: str) -> bool:
        """Tell whether an address is reserved: the first rule about it decides."""
        return next((reserved for about, reserved in self.rules if about.refuses(url)), False)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _rule(item: object) -> tuple[Robots, bool] | None:
    if not isinstance(item, dict):
        return None
    location, value = item.get("location"), item.get("tdm-reservation")
    # the value is an integer; a string, as headers and meta elements have it, means the same
    if not isinstance(location, str) or len(location.splitlines()) != 1 or value not in (0, 1, "0", "1"):
        return None
    alone = f"User-agent: *\nDisallow: {location}".encode(errors="replace")
    return Robots.read("", 200, alone), value in (1, "1")
