"""Schedule requests: limits per host on concurrent connections and request rate, and delays before retries."""

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
    """An image to fetch, with its current URL `place`, which redirects change."""

    image_id: str
    image_url: str
    place: Url
    num_redirects: int = 0
    num_tries: int = 0  # failed tries of this URL
    left: list[str] = field(default_factory=list)  # URLs that redirected


@dataclass(slots=True, eq=False)
class Host:
    """A host's queue and limits. Times are on the monotonic clock, in seconds."""

    name: str
    waiting: list[tuple[float, int, Address]] = field(default_factory=list)  # heap: not before, order, address
    max_connections: int = 1  # until its site files are known
    has_answered: bool = False  # until then FIRST_CONNECTIONS, since a dead host blocks a thread per connection
    interval: float = 0.0
    num_active: int = 0
    next_at: float = 0.0  # no request before
    listed_at: float | None = None  # its time in the scheduler's heap, if it is there
    origins: set[str] = field(default_factory=set)  # with known site files
    num_lost: int = 0  # consecutive requests without connection or complete response

    @property
    def connections(self) -> int:
        """The current limit on concurrent requests."""
        return self.max_connections if self.has_answered else min(self.max_connections, FIRST_CONNECTIONS)


class Scheduler:
    """Distributes addresses to threads. The caller takes only as many as were added, so a wait always ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.changed = Condition()
        self.order = count()
        self.ready: list[tuple[float, int, Host]] = []  # heap: hosts with an address and a free connection
        self.settled: deque[tuple[Address, Failure]] = deque()  # failed without a request

    def add(self, host: Host, addresses: Iterable[Address], not_before: float = 0.0) -> None:
        """Append addresses to a host's queue."""
        with self.changed:
            for address in addresses:
                heapq.heappush(host.waiting, (not_before, next(self.order), address))
            self._list(host)

    def take(self) -> tuple[Host, Address] | tuple[Address, Failure]:
        """Wait for the next address that may be requested, with its host, or for a settled one.

        After a request the caller must call `done`.
        """
        with self.changed:
            while True:
                if self.settled:
                    return self.settled.popleft()
                now = self.clock()
                if self.ready and self.ready[0][0] <= now:
                    listed_at, _, host = heapq.heappop(self.ready)
                    if listed_at != host.listed_at:
                        continue  # it was listed again, for an earlier time
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
        """Release a host's connection, and queue the address again for a retry."""
        with self.changed:
            host.num_active -= 1
            if again is not None:
                heapq.heappush(host.waiting, (not_before, next(self.order), again))
            self._list(host)

    def limit(self, host: Host, connections: int, interval: float) -> None:
        """Set a host's limit on concurrent requests, and the time between the starts of two [seconds]."""
        with self.changed:
            host.max_connections, host.interval = connections, interval
            host.next_at = max(host.next_at, self.clock() + interval)
            self._list(host)

    def answered(self, host: Host) -> None:
        """Record a complete response of a host."""
        host.num_lost = 0
        if not host.has_answered:
            with self.changed:
                host.has_answered = True
                self._list(host)

    def rest(self, host: Host, until: float) -> None:
        """Send no request to a host before a time."""
        with self.changed:
            host.next_at = max(host.next_at, until)

    def settle(self, host: Host, judge: Callable[[Url], Failure | None]) -> None:
        """Remove the addresses from a host's queue for which `judge` returns a failure, and settle them with it."""
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
        """Make a host available to `take` if it has an address and a free connection."""
        if host.waiting and host.num_active < host.connections:
            due = _due(host)
            if host.listed_at is None or due < host.listed_at:
                host.listed_at = due
                heapq.heappush(self.ready, (due, next(self.order), host))
                self.changed.notify()


def _due(host: Host) -> float:
    return max(host.next_at, host.waiting[0][0])
