"""How a program ends: by a signal, by a closed pipe, or for a package that is not installed."""

import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any

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


CLOSED_PIPE = 128 + signal.SIGPIPE  # as shells say of a program that wrote to a pipe that nobody reads
_OURS = ("schemas", "filters", "pipeline", "jobs", "trainer")


def run_program(work: Callable[[], int]) -> int:
    """Do the work of a program, and write out what it printed; return the exit status.

    Where the reader of standard output leaves, as `head` does, that is CLOSED_PIPE. Standard output may be closed from
    the start (`>&-`): what is printed is lost then, and no file that is opened gets its number.
    """
    if sys.stdout is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout = os.fdopen(1, "w", closefd=False)
    stdout = os.dup(1)  # rich points a closed one to nowhere, and exits
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        if not _has_no_reader(stdout):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python still holds, which it writes at the end
        return CLOSED_PIPE
    finally:
        os.close(stdout)


def missing_package(error: BaseException) -> str | None:
    """Say which packages a command lacks, where that ended it: those of the trainer, or else of the pipeline.

    fsspec raises an ImportError of its own, caused by the other, for an address whose file system is not installed.
    """
    known: BaseException | None = error
    while known is not None and not isinstance(known, ModuleNotFoundError):
        known = known.__cause__ or known.__context__ if isinstance(known, ImportError) else None
    if known is None or (known.name or "").partition(".")[0] in _OURS:
        return None
    callers = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    extra = "train" if any(name.partition(".")[0] == "trainer" for name in callers) else "pipeline"
    return f'the package of {known.name} is not installed, which this command needs: pip install "weft[{extra}]"'


def usage_error(error: Any) -> str:
    """Say what is wrong with the arguments, and where the right ones are explained.

    Args: error is a typer.exceptions.TyperException.
    """
    context = getattr(error, "ctx", None)
    words = error.format_message().strip().rstrip(".")
    return f"{words}; `{context.command_path if context else 'weft'} --help` explains" if words else "say which command"


def _has_no_reader(descriptor: int) -> bool:
    """Tell whether a descriptor is the end of a pipe whose other end is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
