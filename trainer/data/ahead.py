"""Make a few things ahead in a thread, and no more than a few."""

from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Closable(Protocol):
    def close(self) -> None:
        """Make whoever waits for this give up."""

    def disconnect(self) -> None:
        """Let go of the rest, when nobody waits any more."""


class Ahead(Generic[T]):
    """Iterate over `source`, of which up to `most` items are made ahead; none, and no thread, if `most` is 0.

    An error in the making is raised when its turn comes. `close` ends what the source waits for, and then the thread.
    """

    def __init__(self, source: Iterator[T], waits_for: Closable | None, most: int) -> None:
        self._source, self._waits_for, self._most = source, waits_for, most
        self._made: deque[T | BaseException] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._make, name="loader", daemon=True) if most else None
        if self._thread is not None:
            self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._thread is None:
            return next(self._source)
        with self._changed:
            self._changed.wait_for(lambda: self._made or self._closed)
            if self._closed:
                raise RuntimeError("closed")
            item = self._made[0]
            if isinstance(item, BaseException):
                raise item
            self._made.popleft()
            self._changed.notify_all()
        return item

    def close(self) -> None:
        """End the thread and what it waits for; doing so twice is no error."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        if self._waits_for is not None:
            self._waits_for.close()
        if self._thread is not None:
            self._thread.join()
        if self._waits_for is not None:
            self._waits_for.disconnect()

    def _make(self) -> None:
        while True:
            try:
                item: T | BaseException = next(self._source)
            except BaseException as error:  # it is the reader's, whatever it is
                item = error
            with self._changed:
                self._changed.wait_for(lambda: len(self._made) < self._most or self._closed)
                if self._closed:
                    return
                self._made.append(item)
                self._changed.notify_all()
            if isinstance(item, BaseException):
                return
