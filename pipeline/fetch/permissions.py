"""What each site allows: its robots.txt and tdmrep.json, asked for once."""

import time
from collections import Counter
from threading import Lock

from pipeline.consent.reservation import Reservations
from pipeline.consent.robots import Robots
from pipeline.consent.sites import SiteFile, SiteFiles
from pipeline.fetch.failure import Failure, class_of
from pipeline.fetch.url import Place, parse
from schemas.recipe.fetch import Fetch

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

    def refusal(self, place: Place) -> Failure | None:
        """Return why an address must not be asked for; None when it may, or when the site is not known yet."""
        origin = place.origin
        if origin in self.failures:
            return self.failures[origin]
        robots, reservations = self.robots.get(origin), self.reservations.get(origin)
        if robots and robots.refuses(place.url):
            return Failure("robots", f"{origin}{ROBOTS} forbids it to {self.agent}")
        if reservations and reservations.refuses(place.url):
            return Failure("directive", f"tdm-reservation by {origin}{RESERVATIONS}")
        return None

    def _knows(self, origin: str, path: str) -> bool:
        return origin in (self.robots if path == ROBOTS else self.reservations)

    def _take(self, origin: str, path: str, status: int, body: bytes, failure: Failure | None) -> None:
        if path == RESERVATIONS:
            self.reservations[origin] = Reservations.read(status, body)
            return
        failure = failure or _failure(status)
        if failure and failure.status in ("dns", "refused_address"):  # not even a connection is made
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
