"""How a program ends where a package is not installed, or where nobody reads what it prints."""

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable

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


def _has_no_reader(descriptor: int) -> bool:
    """Tell whether a descriptor is the end of a pipe whose other end is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
