"""Measurements of one run of a downloader, by itself and by the server."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FetchOutcome:
    """What a downloader reports about its run."""

    seconds: float  # from the call to its return
    ok: int  # images stored
    peak_worker_bytes: int


@dataclass(frozen=True)
class Ran:
    """The measurements of a run."""

    seconds: float
    served_seconds: float  # from the first request to the last
    ok: int
    requests: dict[str, int]  # by kind: the first part of the path
    sent_bytes: int  # by the server
    peak_worker_bytes: int


class FaultyServer:
    """tests/sampleweb/faulty in a separate process."""

    def __init__(self, port: int) -> None:
        self.port = port

    def reset(self) -> None:
        """Forget what was asked."""
        self._get("/_reset")

    def ran(self, outcome: FetchOutcome) -> Ran:
        """Add to an outcome what was asked since the last reset."""
        tally: dict[str, Any] = json.loads(self._get("/_requests"))
        requests: Counter[str] = Counter()
        arrivals: list[float] = []
        for paths in tally["arrivals"].values():
            for path, times in paths.items():
                requests[path.split("/")[1]] += len(times)
                arrivals += times
        return Ran(
            outcome.seconds,
            max(arrivals) - min(arrivals),
            outcome.ok,
            dict(requests.most_common()),
            sum(tally["sent_bytes"].values()),
            outcome.peak_worker_bytes,
        )

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            body: bytes = answer.read()
        return body


@contextmanager
def faulty_server(num_hosts: int, robots: Mapping[str, str]) -> Iterator[FaultyServer]:
    """Serve while the context is open."""
    command = [sys.executable, "-m", "tests.sampleweb.faulty", "--hosts", str(num_hosts)]
    command += [option for host, shape in robots.items() for option in ("--robots", f"{host}={shape}")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield FaultyServer(int(process.stdout.readline().split()[-1]))
        finally:
            process.send_signal(signal.SIGTERM)
