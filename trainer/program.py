"""Exit statuses and error messages of `python -m trainer`. Does not import PyTorch."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from typer.exceptions import TyperException

from schemas import program
from schemas.display import message
from schemas.errors import WeftError
from schemas.program import Interrupted, interruptible


class ReportedError(WeftError):
    """Another process reports the error that ends this one too."""


def run_command(work: Callable[[], int | None]) -> int:
    """Run a command; return the exit status: 0, 2 for a user error, 130 and 143 for a signal, 141 for a closed pipe.

    The error is printed in one line, by one of several processes.
    """
    return program.run_program(lambda: _run(work))


def _run(work: Callable[[], int | None]) -> int:
    try:
        with interruptible():
            status = work() or 0
            if status == 128 + signal.SIGINT:  # what typer makes of KeyboardInterrupt
                raise KeyboardInterrupt
            return status
    except ReportedError:
        return 2
    except WeftError as error:
        return _fail(message(error), 2)
    except ImportError as error:
        missing = program.missing_package(error)
        if missing is None:
            raise
        return _fail(missing, 2) if os.environ.get("RANK", "0") == "0" else 2
    except Interrupted as interrupted:
        if "RANK" not in os.environ:  # otherwise the launcher prints it
            _fail(str(interrupted), interrupted.status)
        return interrupted.status
    except KeyboardInterrupt:  # of processes that the command started
        return 128 + signal.SIGINT
    except TyperException as error:
        return _fail(program.usage_error(error), 2) if os.environ.get("RANK", "0") == "0" else 2


def _fail(text: str, status: int) -> int:
    with suppress(BrokenPipeError):
        print(f"error: {text}", file=sys.stderr)
    return status
