"""The peak memory of the largest worker of a process, observed from outside."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peak_memory import peak_bytes

SAMPLE_SECONDS = 0.1


@dataclass
class Peak:
    """The highest value so far."""

    num_bytes: int = 0


@contextmanager
def watching(pid: int) -> Iterator[Peak]:
    """Observe the Python child processes of a process (multiprocessing's or Spark's) while the context is open."""
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak.num_bytes = max([peak.num_bytes, *(_peak_bytes(child) for child in _below(pid))])

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _below(pid: int) -> Iterator[int]:
    with suppress(OSError):  # gone meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from _below(child)


def _peak_bytes(pid: int) -> int:
    with suppress(OSError, IndexError):  # gone meanwhile, or about to: then no peak is told
        if Path(f"/proc/{pid}/comm").read_text("utf-8").startswith("python"):
            return peak_bytes(pid)  # which it remembers: a sample now and then will do
    return 0
