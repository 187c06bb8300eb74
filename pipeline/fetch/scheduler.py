"""Which address may be asked next: one to a host at a time or a few, not too often, and never before its time."""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from threading import Condition

from pipeline.url import Failure, Url

FIRST_CONNECTIONS = 2


@dataclass(slots=True)
class Address:
    """An image that is wanted, and where it is to be asked for now, which redirects change."""

    image_id: str
    image_url: str
    place: Url
    num_redirects: int = 0
    num_tries: int = 0  # failed ones, at this place
    left: list[str] = field(default_factory=list)  # addresses that led on


@dataclass(slots=True, eq=False)
class Host:
    """A host's addresses and its limits. Times are of the monotonic clock, in seconds."""

    name: str
    waiting: list[tuple[float, int, Address]] = field(default_factory=list)  # heap: not before, order, address
    most_connections: int = 1  # until the host is known
    has_answered: bool = False  # until then it gets FIRST_CONNECTIONS, for if it is dead each holds a thread for long
    interval: float = 0.0
    num_active: int = 0
    next_at: float = 0.0  # no request before
    listed_at: float | None = None  # its time in the schedule's heap, if it stands there
    origins: set[str] = field(default_factory=set)  # whose site files are known
    num_lost: int = 0  # requests in a row to which there was no connection, or no answer in time

    @property
    def connections(self) -> int:
        """Return how many requests it takes at a time."""
        return self.most_connections if self.has_answered else min(self.most_connections, FIRST_CONNECTIONS)


class Scheduler:
    """Hands out addresses to many threads. The caller takes as many as there are, so a wait always ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.changed = Condition()
        self.order = count()
        self.ready: list[tuple[float, int, Host]] = []  # heap: hosts that have an address and a free connection
        self.settled: deque[tuple[Address, Failure]] = deque()  # need no request any more

    def add(self, host: Host, addresses: Iterable[Address], not_before: float = 0.0) -> None:
        """Put addresses at the end of a host's."""
        with self.changed:
            for address in addresses:
                heapq.heappush(host.waiting, (not_before, next(self.order), address))
            self._list(host)

    def take(self) -> tuple[Host, Address] | tuple[Address, Failure]:
        """Wait for the next address that may be asked, with its host, whose `done` is then due, or a settled one."""
        with self.changed:
            while True:
                if self.settled:
                    return self.settled.popleft()
                now = self.clock()
                if self.ready and self.ready[0][0] <= now:
                    listed_at, _, host = heapq.heappop(self.ready)
                    if listed_at != host.listed_at:
                        continue  # it was listed anew, for an earlier time
                    host.listed_at = None
                    if host.waiting and _due(host) <= now:
                        address = heapq.heappop(host.waiting)[2]
                        host.num_active += 1
                        host.next_at = now + host.interval
                        self._list(host)
                        return host, address
                    self._list(host)
                else:
                    self.changed.wait(self.ready[0][0] - now if self.ready else None)

    def done(self, host: Host, again: Address | None = None, not_before: float = 0.0) -> None:
        """Give a host's connection back, and the address too if it is to be asked again."""
        with self.changed:
            host.num_active -= 1
            if again is not None:
                heapq.heappush(host.waiting, (not_before, next(self.order), again))
            self._list(host)

    def limit(self, host: Host, connections: int, interval: float) -> None:
        """Set how many requests a host takes at a time, and the time between the starts of two [seconds]."""
        with self.changed:
            host.most_connections, host.interval = connections, interval
            host.next_at = max(host.next_at, self.clock() + interval)
            self._list(host)

    def answered(self, host: Host) -> None:
        """Say that a host gives whole answers."""
        host.num_lost = 0
        if not host.has_answered:
            with self.changed:
                host.has_answered = True
                self._list(host)

    def rest(self, host: Host, until: float) -> None:
        """Ask nothing of a host before a time."""
        with self.changed:
            host.next_at = max(host.next_at, until)

    def settle(self, host: Host, judge: Callable[[Url], Failure | None]) -> None:
        """Take those of a host's waiting addresses out for which a failure is certain without asking."""
        with self.changed:
            kept = []
            for entry in host.waiting:
                failure = judge(entry[2].place)
                if failure is None:
                    kept.append(entry)
                else:
                    self.settled.append((entry[2], failure))
            heapq.heapify(kept)
            host.waiting = kept
            self.changed.notify_all()

    def _list(self, host: Host) -> None:
        """Offer a host to the takers if it can serve one."""
        if host.waiting and host.num_active < host.connections:
            due = _due(host)
            if host.listed_at is None or due < host.listed_at:
                host.listed_at = due
                heapq.heappush(self.ready, (due, next(self.order), host))
                self.changed.notify()


def _due(host: Host) -> float:
    return max(host.next_at, host.waiting[0][0])
