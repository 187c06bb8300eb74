"""How much memory the largest worker of a process has held at most, watched from outside while they come and go."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peak_memory import peak_bytes

SAMPLE_SECONDS = 0.1


@dataclass
class Peak:
    """The highest that was seen so far."""

    num_bytes: int = 0


@contextmanager
def watching(pid: int) -> Iterator[Peak]:
    """Watch the Python processes below one for as long as the context lasts: multiprocessing's, or Spark's."""
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
