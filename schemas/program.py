"""How a program ends: on a signal, on a closed pipe, or because a package is not installed."""

import errno
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
REPEAT_SECONDS = 1.0  # `timeout` and terminals send a signal to a process and to its group: both are one request

_RESUMED = "run the same command to continue"
_remedy = ContextVar("remedy", default="run the same command to start again")


class Interrupted(KeyboardInterrupt):
    """The process received SIGINT or SIGTERM.

    It is a KeyboardInterrupt because libraries clean up on that: py4j closes a Java connection that awaits a reply, so
    the next call does not read a stale one. `remedy` tells the user how to continue; `continuing` sets it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number, self.remedy = number, _remedy.get()

    @property
    def status(self) -> int:
        """The exit status that shells report for a process ended by this signal."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name}; {self.remedy}"


@contextmanager
def continuing(remedy: str) -> Iterator[None]:
    """Set the remedy in the message of a signal that interrupts the block."""
    token = _remedy.set(remedy)
    try:
        yield
    finally:
        _remedy.reset(token)


def resuming(overwrite: bool = False) -> AbstractContextManager[None]:
    """Set a remedy that tells how to resume the work; without --overwrite, which would start again."""
    return continuing("run the same command without --overwrite to continue" if overwrite else _RESUMED)


@dataclass
class Received:
    """The number of the first signal received; 0 for none."""

    number: int = 0


@contextmanager
def noting(numbers: Sequence[signal.Signals] = SIGNALS) -> Iterator[Received]:
    """Record the first signal in the block, for work that stops by itself at its next resumable point.

    A second SIGINT ends the process immediately. A second SIGTERM does not: a scheduler sends one to every process, and
    torchrun another to its workers. Ignored signals remain ignored. Outside the main thread, which alone can handle
    signals, nothing is recorded.
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
    """Raise Interrupted in the block on the first signal; a second one ends the process immediately.

    Any other exception after the signal, such as a closed connection, is raised as Interrupted, except a PathError: a
    run that lost its lock is interrupted too, and that error gives the cause. Ignored signals, such as SIGINT in a
    shell's background jobs, remain ignored. Outside the main thread, which alone can handle signals, this does nothing.
    """
    received: list[tuple[Interrupted, float]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if not received:
            logging.disable()  # libraries log the exception with its traceback, and warn of interrupted work
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
    """Handle signals in the block, except ignored ones; outside the main thread, none."""
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


CLOSED_PIPE = 128 + signal.SIGPIPE  # the exit status that shells report for a write to a closed pipe
_OURS = ("schemas", "filters", "pipeline", "jobs", "trainer")


def run_program(work: Callable[[], int]) -> int:
    """Run a program and flush standard output; return the exit status.

    The status is CLOSED_PIPE when the reader of standard output exits early, as `head` does, and 1, with a message,
    when a file system is full. If standard output is closed from the start (`>&-`), output is discarded, and its
    descriptor is reserved so that no opened file gets it.
    """
    if sys.stdout is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout = os.fdopen(1, "w", closefd=False)
    stdout = os.dup(1)  # rich redirects a closed one to /dev/null, and exits
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        if not _has_no_reader(stdout):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes its buffer at exit
        return CLOSED_PIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"no space left to write {error.filename or 'the output'}: free some and try again", file=sys.stderr)
        return 1
    finally:
        os.close(stdout)


def missing_package(error: BaseException) -> str | None:
    """Return a message that names the missing package and the extra to install (train or pipeline), else None.

    For a URL whose file system is not installed, fsspec raises its own ImportError, caused by the original one.
    """
    known: BaseException | None = error
    while known is not None and not isinstance(known, ModuleNotFoundError):
        known = known.__cause__ or known.__context__ if isinstance(known, ImportError) else None
    if known is None or (known.name or "").partition(".")[0] in _OURS:
        return None
    callers = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    extra = "train" if any(name.partition(".")[0] == "trainer" for name in callers) else "pipeline"
    return f'this command needs the package {known.name}, which is not installed: pip install "weft[{extra}]"'


def usage_error(error: Any) -> str:
    """Return the message for wrong arguments, with the command that shows the valid ones.

    Args: error is a typer.exceptions.TyperException.
    """
    context = getattr(error, "ctx", None)
    text = error.format_message().strip().rstrip(".")
    return f"{text}; see `{context.command_path if context else 'weft'} --help`" if text else "name a command"


def _has_no_reader(descriptor: int) -> bool:
    """Return whether a descriptor is a pipe whose other end is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
