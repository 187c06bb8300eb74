"""SIGINT and SIGTERM end a program in order: the first unwinds the stack, a second one ends the process at once."""

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType

from schemas.errors import PathError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEAT_SECONDS = 1.0  # `timeout` and terminals send one signal to a process and to its group: that is one request

_RESUMED = "the same command goes on from here"
_remedy = ContextVar("remedy", default="the same command starts again")


class Interrupted(KeyboardInterrupt):
    """The process has been asked to end, by SIGINT or by SIGTERM.

    It is a KeyboardInterrupt since libraries clean up for that: py4j closes the connection to Java whose answer did not
    come, so that the next call does not take it for its own. remedy says how to continue, as `continuing` sets it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number, self.remedy = number, _remedy.get()

    @property
    def status(self) -> int:
        """Return the exit status that shells give to a process ended by this signal."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name}; {self.remedy}"


@contextmanager
def continuing(remedy: str) -> Iterator[None]:
    """Have a signal that interrupts the block say how to continue."""
    token = _remedy.set(remedy)
    try:
        yield
    finally:
        _remedy.reset(token)


def resuming(overwrite: bool = False) -> AbstractContextManager[None]:
    """Have a signal that interrupts the block say how what it has done is continued."""
    return continuing("the same command without --overwrite goes on from here" if overwrite else _RESUMED)


@dataclass
class Received:
    """The number of the first signal that came; 0: none did."""

    number: int = 0


@contextmanager
def noting(numbers: Sequence[signal.Signals] = SIGNALS) -> Iterator[Received]:
    """Note the first signal in the block, for work that ends by itself, at the next point where it can be continued.

    A second SIGINT ends the process at once. A second SIGTERM does not: a scheduler sends one to every process, and
    torchrun one more to those that it started. A signal that is ignored stays so; outside the main thread, which alone
    may handle signals, none is noted.
    """
    received, first_at = Received(), 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first_at
        if not received.number:
            received.number, first_at = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - first_at > REPEAT_SECONDS:
            os._exit(128 + number)

    with _handling(numbers, handle):
        yield received


@contextmanager
def interruptible(numbers: Sequence[signal.Signals] = SIGNALS) -> Iterator[None]:
    """Raise Interrupted in the block at the first signal; a second one ends the process at once.

    Whatever else leaves the block after the signal, as an error of a connection that was cut, is raised as Interrupted,
    but for a PathError: a run that has lost its lock is interrupted too, and that error says why. A
    signal that is ignored, as SIGINT is in the background jobs of a shell, stays so. Outside the main thread, which
    alone may handle signals, this does nothing.
    """
    received: list[tuple[Interrupted, float]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if not received:
            logging.disable()  # libraries log the exception with its traceback, and warn of what is cut off
            warnings.simplefilter("ignore")
            received.append((Interrupted(number), time.monotonic()))
            raise received[0][0]
        if time.monotonic() - received[0][1] > REPEAT_SECONDS:
            os._exit(128 + number)

    with _handling(numbers, handle):
        try:
            yield
        except BaseException as error:
            if received and error is not received[0][0] and not isinstance(error, PathError):
                raise received[0][0] from error
            raise


@contextmanager
def _handling(numbers: Sequence[signal.Signals], handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals in the block, but those that are ignored; outside the main thread, none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
