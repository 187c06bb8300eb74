"""Run the command line and print errors as one line."""

import errno
import os
import signal
import sys
import traceback
from contextlib import suppress

import typer
from typer.exceptions import TyperException

from jobs.cli import inspect, output, plan, steps  # each adds its commands
from jobs.cli.options import app
from schemas.display import message, printable, redact, shorten
from schemas.errors import WeftError
from schemas.program import Interrupted, interruptible, missing_package, run_program, usage_error
from trainer.cli import app as trainer_app

__all__ = ["app", "main"]

_ORDER = [module.__name__ for module in (steps, plan, inspect, output)]  # of the help
app.registered_commands.sort(key=lambda command: _ORDER.index(command.callback.__module__ if command.callback else ""))
app.add_typer(trainer_app)


def main() -> None:
    """Run the command line. Exit status: 2 for a WeftError or wrong usage, 130 and 143 for SIGINT and SIGTERM.

    When the reader of standard output closes the pipe, as `head` does, the status is 141 and nothing is printed.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # child processes import nothing from the working directory
    sys.exit(run_program(_run))


def _run() -> int:
    """Run the command line; return the exit status.

    Raises: BrokenPipeError, OSError when a file system is full, and SystemExit from libraries.
    """
    try:
        with interruptible():
            status = app(standalone_mode=False)
            if status == 128 + signal.SIGINT:  # typer's translation of KeyboardInterrupt
                raise KeyboardInterrupt
    except WeftError as error:
        return _print_error(str(error), 2)
    except TyperException as error:
        return _print_error(usage_error(error), 2)
    except Interrupted as interrupted:
        return _print_error(str(interrupted), interrupted.status)
    except KeyboardInterrupt:  # from a program that the command started, such as spark-submit
        return 128 + signal.SIGINT
    except BrokenPipeError:
        raise
    except Exception as error:
        if missing := missing_package(error):
            return _print_error(missing, 2)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return _print_error(f"{shorten(error.filename, 200)}: file name too long; give a shorter path", 2)
        if type(error).__module__.startswith(("py4j", "pyspark")):
            return _print_error(f"Spark failed: {_cause(str(error))}", 1)
        typer.echo(printable(redact(traceback.format_exc()), lines=True), err=True, nl=False)
        return 1
    return int(status or 0)


def _print_error(text: str, status: int) -> int:
    with suppress(BrokenPipeError):
        typer.echo(f"weft: {message(' '.join(text.split()))}", err=True)
    return status


def _cause(trace: str) -> str:
    """Return the last error line of a Spark trace, else its first line."""
    lines = [line.strip().removeprefix("Caused by").lstrip(": ") for line in trace.splitlines() if line.strip()]
    errors = [line for line in lines if line.split(":")[0].rsplit(".", 1)[-1].endswith(("Error", "Exception"))]
    return errors[-1] if errors else lines[0] if lines else "no message"
