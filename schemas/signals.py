"""SIGINT and SIGTERM end a program in order: the first unwinds the stack, a second one ends the process at once."""

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

from schemas.errors import PathError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEAT_SECONDS = 1.0  # `timeout` and terminals send one signal to a process and to its group: that is one request

_remedy = ContextVar("remedy", default="the same command starts again")


class Interrupted(KeyboardInterrupt):
    """The process has been asked to end, by SIGINT or by SIGTERM.

    It is a KeyboardInterrupt since libraries clean up for that: py4j closes the connection to Java whose answer did not
    come, so that the next call does not take it for its own. remedy says how to continue.
    """

    def __init__(self, number: int, remedy: str) -> None:
        super().__init__(number)
        self.number, self.remedy = number, remedy

    @property
    def status(self) -> int:
        """Return the exit status that shells give to a process ended by this signal."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name}; {self.remedy}"


@contextmanager
def continuing(remedy: str = "the same command goes on from here") -> Iterator[None]:
    """Have a signal that interrupts the block say how to continue."""
    token = _remedy.set(remedy)
    try:
        yield
    finally:
        _remedy.reset(token)


@contextmanager
def interruptible(numbers: Sequence[signal.Signals] = SIGNALS) -> Iterator[None]:
    """Raise Interrupted in the block at the first signal; a second one ends the process at once.

    Whatever else leaves the block after the signal, as an error of a connection that was cut, is raised as Interrupted,
    but for a PathError: a run that has lost its lock is interrupted too, and that error says why. A
    signal that is ignored, as SIGINT is in the background jobs of a shell, stays so. Outside the main thread, which
    alone may handle signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[tuple[Interrupted, float]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if not received:
            logging.disable()  # libraries log the exception with its traceback, and warn of what is cut off
            warnings.simplefilter("ignore")
            received.append((Interrupted(number, _remedy.get()), time.monotonic()))
            raise received[0][0]
        if time.monotonic() - received[0][1] > REPEAT_SECONDS:
            os._exit(128 + number)

    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    except BaseException as error:
        if received and error is not received[0][0] and not isinstance(error, PathError):
            raise received[0][0] from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
