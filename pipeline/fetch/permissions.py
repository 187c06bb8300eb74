"""Permissions of sites: robots.txt (RFC 9309) and tdmrep.json (TDMRep), each requested once and cached across runs."""

import json
import re
import time
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

from protego import Protego

from pipeline.fetch.site_files import SiteFile, SiteFiles
from pipeline.url import Failure, Url, class_of, parse
from schemas.recipe import Fetch

MAX_BYTES = 500 * 1024  # the minimum limit of section 2.5; the rest is ignored
# Each wildcard is searched along the URL. In the worst known case a match takes 0.3 s within these limits, and half a
# minute without them.
MAX_WILDCARDS = 10_000
MAX_URL_CHARACTERS = 8_000  # the length that RFC 9110, section 4.1, recommends to support
MAX_DELAY_SECONDS = 86_400.0

_AGENT_LINE = re.compile(r"\s*user[-\s]*agent(?:\s*:|\s)\s*(.*)", re.I)
_PRODUCT_TOKEN = re.compile(r"[\w-]+", re.A)
_DELAY_LINE = re.compile(r"(\s*crawl-delay\s*:\s*\d+),(\d+)\s*", re.I | re.A)
_DOWNLOADER = "img2dataset"  # the download library: a site that refuses it by name refuses Weft
_US, _TOOL, _OTHERS = "us", "tool", "others"  # new names of groups
_REFUSES_ALL = "User-agent: *\nDisallow: /"


@dataclass(frozen=True)
class Robots:
    """The rules of a robots.txt for Weft."""

    rules: Protego
    judges_tool: bool = False  # whether a group names the download library, and none names Weft

    @classmethod
    def read(cls, agent: str, status: int, body: bytes) -> "Robots":
        """Parse the response to a request for robots.txt. Never raises.

        Args: agent is Weft's product token. A 2xx status: the body's rules apply. 4xx: there is no such file, and
        nothing is refused (section 2.3.1.3). Otherwise (5xx, endless redirects, 0 for no response, and 429, which is
        temporary) the rules are unknown, so everything is refused (section 2.3.1.4), as with more than MAX_WILDCARDS
        wildcards, which are a denial of service.
        """
        if not 200 <= status < 300:
            return cls(Protego.parse("" if 400 <= status < 500 and status != 429 else _REFUSES_ALL))
        charset = "utf-16" if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
        lines = body[: MAX_BYTES + 1].decode(charset, "replace").splitlines()
        if len(body) > MAX_BYTES:
            lines.pop()  # a truncated rule has another meaning
        lines = list(_for_agent(lines, agent))
        text = "\n".join(lines)
        judges_tool = f"User-agent: {_TOOL}" in lines and f"User-agent: {_US}" not in lines
        return cls(Protego.parse(text if text.count("*") <= MAX_WILDCARDS else _REFUSES_ALL), judges_tool)

    def refuses(self, url: str) -> bool:
        """Return whether a URL is refused; also True for one that is malformed or longer than MAX_URL_CHARACTERS."""
        if len(url) > MAX_URL_CHARACTERS:
            return True
        try:
            return not (self.rules.can_fetch(url, _US) and (not self.judges_tool or self.rules.can_fetch(url, _TOOL)))
        except ValueError:  # from urlsplit, or from encoding a lone surrogate
            return True

    @property
    def crawl_delay_seconds(self) -> float:
        """The delay between two requests: the longer one of Crawl-delay and Request-rate; 0 without either."""
        delay, rate = self.rules.crawl_delay(_US) or 0.0, self.rules.request_rate(_US)
        if rate:
            delay = max(delay, min(rate.seconds, MAX_DELAY_SECONDS) / rate.requests)
        return min(delay, MAX_DELAY_SECONDS)


def _for_agent(lines: list[str], agent: str) -> Iterator[str]:
    """Rename the groups of a robots.txt to Weft, the download library, everyone and others.

    Protego matches prefixes (`we` for `weft`), while names must be equal except for case (section 2.2.1). It also
    stores each rule for each name of its group: gigabytes for a hostile file.
    """
    names = {_DOWNLOADER: _TOOL, agent.lower(): _US}
    for line in lines:
        rule = line.partition("#")[0]
        found = _AGENT_LINE.match(rule)
        if not found:
            delay = _DELAY_LINE.fullmatch(rule)  # with a decimal comma
            yield f"{delay[1]}.{delay[2]}" if delay else rule
            continue
        token = _PRODUCT_TOKEN.match(found[1].lstrip("*"))
        if token:
            yield f"User-agent: {names.get(token[0].lower(), _OTHERS)}"
        else:
            yield f"User-agent: {'*' if found[1].startswith('*') else _OTHERS}"


MAX_RULES = 1_000  # 30 ms to parse, 6 ms to match a URL; the rest is ignored


@dataclass(frozen=True)
class Reservations:
    """The rules of a tdmrep.json in order: a location pattern, and whether it is reserved.

    The patterns are those of robots.txt, so a robots.txt that disallows only the location matches it.
    Source: TDM Reservation Protocol, W3C community group final report of 10 May 2024, "TDM File on the Origin Server".
    """

    rules: tuple[tuple[Robots, bool], ...]

    @classmethod
    def read(cls, status: int, body: bytes) -> "Reservations":
        """Parse the response to a request for /.well-known/tdmrep.json. Never raises.

        Without a valid file the site does not implement the protocol and reserves nothing. Rules without a location or
        with a value other than 0 and 1 are skipped.
        """
        listed = _parse(body) if status == 200 and len(body) <= MAX_BYTES else None
        rules = (_rule(item) for item in listed[:MAX_RULES]) if isinstance(listed, list) else ()
        return cls(tuple(rule for rule in rules if rule))

    def refuses(self, url: str) -> bool:
        """Return whether a URL is reserved by the first rule that matches it."""
        return next((reserved for pattern, reserved in self.rules if pattern.refuses(url)), False)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _rule(item: object) -> tuple[Robots, bool] | None:
    if not isinstance(item, dict):
        return None
    location, value = item.get("location"), item.get("tdm-reservation")
    # the value is an integer; accept a string, as in headers and meta elements
    if not isinstance(location, str) or len(location.splitlines()) != 1 or value not in (0, 1, "0", "1"):
        return None
    pattern = f"User-agent: *\nDisallow: {location}".encode(errors="replace")
    return Robots.read("", 200, pattern), value in (1, "1")


ROBOTS, RESERVATIONS = "/robots.txt", "/.well-known/tdmrep.json"


class Permissions:
    """The permissions of each origin (scheme, host and port), cached across runs. Thread-safe."""

    def __init__(self, config: Fetch, cache: SiteFiles) -> None:
        self.agent, self.cache = config.user_agent, cache
        self.max_delay = config.max_crawl_delay_seconds
        self.paths = [ROBOTS] * config.robots_txt + [RESERVATIONS] * ("tdm-reservation" in config.directives)
        self.robots: dict[str, Robots] = {}
        self.reservations: dict[str, Reservations] = {}
        self.failures: dict[str, Failure] = {}  # by origin: nothing may be requested
        self.claimed: set[tuple[str, str]] = set()
        self.num_tries: Counter[tuple[str, str]] = Counter()  # failed ones
        self.lock = Lock()

    def next_path(self, origin: str) -> str | None:
        """Return the path of the site's next file to request; None when all are known, '' when another thread does.

        The caller must then `learn` its response or `release` it.
        """
        for path in self.paths:
            if self._knows(origin, path) or self.refusal(parse(origin + path)):
                continue  # tdmrep.json is only requested if robots.txt allows it
            with self.lock:
                if (origin, path) in self.claimed:
                    return ""
                self.claimed.add((origin, path))
            cached = self.cache.get(origin + path)
            if cached is None:
                return path
            self._apply(origin, path, cached.status, cached.body, None)
        return None

    def learn(self, origin: str, path: str, status: int, body: bytes, failure: Failure | None = None) -> None:
        """Record a file's response: its status and body, or the failure."""
        if failure is None:
            self.cache.put(SiteFile(origin + path, time.time(), status, body))
        self._apply(origin, path, status, body, failure)

    def release(self, origin: str, path: str) -> None:
        """Allow another try for a file after a failed one."""
        with self.lock:
            self.claimed.discard((origin, path))
            self.num_tries[origin, path] += 1

    def crawl_delay(self, origin: str) -> float:
        """Return the site's delay between two requests [seconds]; 0 when none is set or nothing may be requested."""
        robots = self.robots.get(origin)
        return robots.crawl_delay_seconds if robots and origin not in self.failures else 0.0

    def refusal(self, place: Url) -> Failure | None:
        """Return the reason not to request a URL; None when it is allowed, or the site is not known yet."""
        origin = place.origin
        if origin in self.failures:
            return self.failures[origin]
        robots, reservations = self.robots.get(origin), self.reservations.get(origin)
        if robots and robots.refuses(place.url):
            return Failure("robots", f"{origin}{ROBOTS} forbids it to {self.agent}")
        if reservations and reservations.refuses(place.url):
            return Failure("opt_out", f"tdm-reservation by {origin}{RESERVATIONS}")
        return None

    def _knows(self, origin: str, path: str) -> bool:
        return origin in (self.robots if path == ROBOTS else self.reservations)

    def _apply(self, origin: str, path: str, status: int, body: bytes, failure: Failure | None) -> None:
        if path == RESERVATIONS:
            self.reservations[origin] = Reservations.read(status, body)
            return
        failure = failure or _failure(status)
        if failure and failure.status in ("dns", "private_address"):  # no connection is made
            self.failures[origin] = failure
        elif failure:
            error = f"{origin}{ROBOTS}: {failure.error}; unknown rules forbid everything (RFC 9309, section 2.3.1.4)"
            self.failures[origin] = Failure(failure.status, error)
        robots = self.robots[origin] = Robots.read(self.agent, status, body)
        if robots.crawl_delay_seconds > self.max_delay:
            error = f"requires {robots.crawl_delay_seconds:g} s between requests, more than {self.max_delay:g} s"
            self.failures[origin] = Failure("robots", f"{origin}{ROBOTS} {error}")


def _failure(status: int) -> Failure | None:
    """Return the failure of a status that leaves the rules of robots.txt unknown, else None."""
    return Failure(class_of(status), f"HTTP {status}") if status == 429 or status >= 500 else None
