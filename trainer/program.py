"""The command lines without Weft's own, `python -m trainer.NAME`: how they end. Needs no PyTorch.

Each imports what it needs when it runs, so that a package that is not installed is one line.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from typer.exceptions import TyperException

from schemas import program
from schemas.display import message
from schemas.errors import WeftError
from schemas.program import Interrupted, interruptible


class ReportedError(WeftError):
    """Another process has the same error, or one that ends this process too, and reports it."""


def run_command(work: Callable[[], int | None]) -> int:
    """Do the work of a command line; return the exit status: 0, 2 after a person's error, 130 and 143 after a signal,
    141 where the reader of standard output left.

    What ended it is said in one line; of several processes, by one.
    """
    return program.run_program(lambda: _run(work))


def _run(work: Callable[[], int | None]) -> int:
    try:
        with interruptible():
            return work() or 0
    except ReportedError:
        return 2
    except WeftError as error:
        return _say(message(error), 2)
    except ImportError as error:
        missing = program.missing_package(error)
        if missing is None:
            raise
        return _say(missing, 2) if os.environ.get("RANK", "0") == "0" else 2
    except Interrupted as interrupted:
        if "RANK" not in os.environ:  # else who started the processes says it
            _say(str(interrupted), interrupted.status)
        return interrupted.status
    except TyperException as error:
        return _say(program.usage_error(error), 2) if os.environ.get("RANK", "0") == "0" else 2


def _say(words: str, status: int) -> int:
    with suppress(BrokenPipeError):
        print(f"error: {words}", file=sys.stderr)
    return status
