"""What sites allow: robots.txt (RFC 9309) and tdmrep.json (TDMRep), each requested once and kept across runs."""

import json
import re
import time
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from protego import Protego

from pipeline.io.store import Store
from pipeline.url import Failure, Url, class_of, parse
from schemas.errors import IntegrityError
from schemas.recipe import Fetch
from schemas.tables import digest

MAX_BYTES = 500 * 1024  # the least that section 2.5 wants parsed; what stands behind does not count
# Each wildcard is looked for along the whole address. The worst file that we could make takes 0.3 s to judge the worst
# address within these bounds, and half a minute without them.
MAX_WILDCARDS = 10_000
MAX_URL_CHARACTERS = 8_000  # the length that RFC 9110, section 4.1, wants supported
MAX_DELAY_SECONDS = 86_400.0

_AGENT_LINE = re.compile(r"\s*user[-\s]*agent(?:\s*:|\s)\s*(.*)", re.I)
_PRODUCT_TOKEN = re.compile(r"[\w-]+", re.A)
_DELAY_LINE = re.compile(r"(\s*crawl-delay\s*:\s*\d+),(\d+)\s*", re.I | re.A)
_DOWNLOADER = "img2dataset"  # what downloads: who refuses it by name refuses us
_US, _TOOL, _OTHERS = "us", "tool", "others"  # what groups are renamed to
_REFUSES_ALL = "User-agent: *\nDisallow: /"


@dataclass(frozen=True)
class Robots:
    """What a robots.txt says to us."""

    rules: Protego
    judges_tool: bool = False  # whether a group names the downloader, and none names us

    @classmethod
    def read(cls, agent: str, status: int, body: bytes) -> "Robots":
        """Understand the answer to a request for robots.txt.

        agent is the product token that we go by. With 2xx the body counts. 4xx means that there is no such file, and
        nothing is refused (section 2.3.1.3). In every other case (5xx, a redirection without end, 0 for no answer, and
        429, which only puts us off) nobody knows what the site wants, so everything is refused (section 2.3.1.4).
        Never raises. A file of more wildcards than MAX_WILDCARDS is made to wear us out: it refuses everything.
        """
        if not 200 <= status < 300:
            return cls(Protego.parse("" if 400 <= status < 500 and status != 429 else _REFUSES_ALL))
        charset = "utf-16" if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
        lines = body[: MAX_BYTES + 1].decode(charset, "replace").splitlines()
        if len(body) > MAX_BYTES:
            lines.pop()  # half a rule is another rule
        lines = list(_for_agent(lines, agent))
        text = "\n".join(lines)
        judges_tool = f"User-agent: {_TOOL}" in lines and f"User-agent: {_US}" not in lines
        return cls(Protego.parse(text if text.count("*") <= MAX_WILDCARDS else _REFUSES_ALL), judges_tool)

    def refuses(self, url: str) -> bool:
        """Tell whether an address may not be asked for.

        One that cannot be judged (it is malformed, or longer than MAX_URL_CHARACTERS) counts as refused, for a rule
        may well mean it.
        """
        if len(url) > MAX_URL_CHARACTERS:
            return True
        try:
            return not (self.rules.can_fetch(url, _US) and (not self.judges_tool or self.rules.can_fetch(url, _TOOL)))
        except ValueError:  # of urlsplit, or of encoding half a surrogate pair
            return True

    @property
    def crawl_delay_seconds(self) -> float:
        """The wait between two requests by Crawl-delay and Request-rate, the longer of them; 0 without either."""
        delay, rate = self.rules.crawl_delay(_US) or 0.0, self.rules.request_rate(_US)
        if rate:
            delay = max(delay, min(rate.seconds, MAX_DELAY_SECONDS) / rate.requests)
        return min(delay, MAX_DELAY_SECONDS)


def _for_agent(lines: list[str], agent: str) -> Iterator[str]:
    """Rename the groups of a robots.txt: those that name us, the downloader, or everyone, and all others alike.

    Protego takes a group named `we` for one that means `weft`; names must be equal but for case (section 2.2.1). And
    it keeps every rule once for each name of its group, which a hostile file drives to gigabytes.
    """
    names = {_DOWNLOADER: _TOOL, agent.lower(): _US}
    for line in lines:
        rule = line.partition("#")[0]
        found = _AGENT_LINE.match(rule)
        if not found:
            delay = _DELAY_LINE.fullmatch(rule)  # as half of Europe writes it
            yield f"{delay[1]}.{delay[2]}" if delay else rule
            continue
        token = _PRODUCT_TOKEN.match(found[1].lstrip("*"))
        if token:
            yield f"User-agent: {names.get(token[0].lower(), _OTHERS)}"
        else:
            yield f"User-agent: {'*' if found[1].startswith('*') else _OTHERS}"


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


@dataclass(frozen=True)
class SiteFile:
    """What a site answered when it was asked for one of these files."""

    url: str
    fetched_at: float  # seconds since the epoch
    status: int  # 0 when no answer came
    body: bytes

    @property
    def failed(self) -> bool:
        """Whether the site gave no answer, or one that says nothing about its file: later, or that it is in trouble."""
        return self.status in (0, 429) or self.status >= 500


@dataclass(frozen=True)
class SiteFiles:
    """A folder of answers, one small file each. It knows no clock: whoever asks says what time it is.

    since is when the run began: a failure counts until the run ends, and a later run asks again.
    """

    store: Store
    max_age_seconds: float
    since: float

    def get(self, url: str, now: float) -> SiteFile | None:
        """Return the kept answer; None when there is none that still counts, or its file is damaged."""
        try:
            kept = self.store.read_json(self._path(url))
            file = SiteFile(**{**kept, "body": kept["body"].encode("latin-1")})
            # machines' clocks differ, so an answer may seem to come from the future
            young = abs(now - file.fetched_at) < self.max_age_seconds
            counts = file.url == url and young and not (file.failed and file.fetched_at < self.since)
        except (FileNotFoundError, IntegrityError, AttributeError, KeyError, TypeError, ValueError):
            return None
        return file if counts else None

    def put(self, file: SiteFile) -> None:
        """Keep an answer in place of an older one. Each byte of its body becomes the character of that number."""
        self.store.write_json(self._path(file.url), {**asdict(file), "body": file.body.decode("latin-1")})

    def _path(self, url: str) -> str:
        key = digest("site", url)
        return self.store.at(key[:2], f"{key}.json")


ROBOTS, RESERVATIONS = "/robots.txt", "/.well-known/tdmrep.json"


class Permissions:
    """What is known of each origin (scheme, host and port), kept across runs in a cache. Many threads may ask."""

    def __init__(self, config: Fetch, cache: SiteFiles) -> None:
        self.agent, self.cache = config.user_agent, cache
        self.max_delay = config.max_crawl_delay_seconds
        self.paths = [ROBOTS] * config.robots_txt + [RESERVATIONS] * ("tdm-reservation" in config.directives)
        self.robots: dict[str, Robots] = {}
        self.reservations: dict[str, Reservations] = {}
        self.failures: dict[str, Failure] = {}  # of origins from which nothing may be asked
        self.claimed: set[tuple[str, str]] = set()
        self.num_tries: Counter[tuple[str, str]] = Counter()  # that failed
        self.lock = Lock()

    def next_path(self, origin: str) -> str | None:
        """Return the file that is to be asked for next; None when all are known. '' says that somebody else is at it.

        Whoever gets a path must `learn` its answer or `release` it.
        """
        for path in self.paths:
            if self._knows(origin, path) or self.refusal(parse(origin + path)):
                continue  # tdmrep.json, too, is asked for only if robots.txt allows it
            with self.lock:
                if (origin, path) in self.claimed:
                    return ""
                self.claimed.add((origin, path))
            kept = self.cache.get(origin + path, time.time())
            if kept is None:
                return path
            self._take(origin, path, kept.status, kept.body, None)
        return None

    def learn(self, origin: str, path: str, status: int, body: bytes, failure: Failure | None = None) -> None:
        """Take a file's answer: its status and body, or why none came."""
        if failure is None:
            self.cache.put(SiteFile(origin + path, time.time(), status, body))
        self._take(origin, path, status, body, failure)

    def release(self, origin: str, path: str) -> None:
        """Let a file be asked for again, of which a try has failed."""
        with self.lock:
            self.claimed.discard((origin, path))
            self.num_tries[origin, path] += 1

    def crawl_delay(self, origin: str) -> float:
        """Return the seconds that the site wants between two requests; 0 when none is made."""
        robots = self.robots.get(origin)
        return robots.crawl_delay_seconds if robots and origin not in self.failures else 0.0

    def refusal(self, place: Url) -> Failure | None:
        """Return why an address must not be asked for; None when it may, or when the site is not known yet."""
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

    def _take(self, origin: str, path: str, status: int, body: bytes, failure: Failure | None) -> None:
        if path == RESERVATIONS:
            self.reservations[origin] = Reservations.read(status, body)
            return
        failure = failure or _failure(status)
        if failure and failure.status in ("dns", "private_address"):  # not even a connection is made
            self.failures[origin] = failure
        elif failure:
            said = f"{origin}{ROBOTS}: {failure.error}; unread, it forbids everything (RFC 9309, section 2.3.1.4)"
            self.failures[origin] = Failure(failure.status, said)
        robots = self.robots[origin] = Robots.read(self.agent, status, body)
        if robots.crawl_delay_seconds > self.max_delay:
            said = f"wants {robots.crawl_delay_seconds:g} s between requests, more than {self.max_delay:g} s"
            self.failures[origin] = Failure("robots", f"{origin}{ROBOTS} {said}")


def _failure(status: int) -> Failure | None:
    """Return the class of a status that leaves open what robots.txt says; None when it is known."""
    return Failure(class_of(status), f"HTTP {status}") if status == 429 or status >= 500 else None
