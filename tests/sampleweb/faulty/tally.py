"""The requests to a server, with their times and concurrency."""

import json
import time
from collections import Counter, defaultdict


class Tally:
    """Counts of one server. Hosts are named as requests name them; connections know only the address they came to."""

    def __init__(self) -> None:
        self.arrivals: dict[str, dict[str, list[float]]] = {}  # host -> path -> seconds of the monotonic clock
        self.num_open: Counter[str] = Counter()  # requests of a host that are not answered yet
        self.most_open: Counter[str] = Counter()
        self.num_connected: Counter[str] = Counter()  # connections to an address that are not closed yet
        self.most_connected: Counter[str] = Counter()
        self.num_connections: Counter[str] = Counter()
        self.sent_bytes: Counter[str] = Counter()  # by kind of path

    def reset(self) -> None:
        """Start anew; what is open now is still open."""
        for counts in (self.arrivals, self.most_open, self.most_connected, self.num_connections, self.sent_bytes):
            counts.clear()

    def connected(self, address: str) -> None:
        self.num_connections[address] += 1
        self.num_connected[address] += 1
        self.most_connected[address] = max(self.most_connected[address], self.num_connected[address])

    def disconnected(self, address: str) -> None:
        self.num_connected[address] -= 1

    def asked(self, host: str, path: str) -> int:
        """Count a request. Returns: how often this address was asked for before."""
        times = self.arrivals.setdefault(host, defaultdict(list))[path]
        times.append(time.monotonic())
        self.num_open[host] += 1
        self.most_open[host] = max(self.most_open[host], self.num_open[host])
        return len(times) - 1

    def answered(self, host: str) -> None:
        self.num_open[host] -= 1

    def count(self, host: str, path: str) -> int:
        """Return how often an address was asked for."""
        return len(self.arrivals.get(host, {}).get(path, ()))

    def counts(self, host: str) -> dict[str, int]:
        """Return how often each path of a host was asked for."""
        return {path: len(times) for path, times in dict(self.arrivals.get(host, {})).items()}

    def as_json(self) -> bytes:
        """Return all of it."""
        return json.dumps(vars(self)).encode()
