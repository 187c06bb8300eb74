"""Run the command line, and tell people in one line what went wrong."""

import errno  # noqa: I001  # the help lists commands in the order of these imports
import os
import signal
import sys
import traceback
from contextlib import suppress

import typer
from typer.exceptions import TyperException

from jobs.cli import steps, plan, inspect, output  # noqa: F401  # each adds its commands
from jobs.cli.options import app
from schemas.display import message, printable, redact, shorten
from schemas.errors import WeftError
from schemas.program import Interrupted, interruptible, missing_package, run_program, usage_error
from trainer.cli import app as trainer_app

__all__ = ["app", "main"]

app.add_typer(trainer_app)  # its commands stand beside the others


def main() -> None:
    """Run the command line. An error meant for people is one line, with status 2; SIGINT and SIGTERM, 130 and 143.

    Where the reader of standard output leaves, as `head` does, the command ends with 141 and says nothing.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # nothing that is started from here imports what lies in the working directory
    sys.exit(run_program(_run))


def _run() -> int:
    """Run the command line; return the exit status. Raises: BrokenPipeError, and SystemExit as libraries do."""
    try:
        with interruptible():
            status = app(standalone_mode=False)
            if status == 128 + signal.SIGINT:  # what typer makes of KeyboardInterrupt
                raise KeyboardInterrupt
    except WeftError as error:
        return _say(str(error), 2)
    except TyperException as error:
        return _say(usage_error(error), 2)
    except Interrupted as interrupted:
        return _say(str(interrupted), interrupted.status)
    except KeyboardInterrupt:  # of a program that the command started, as spark-submit
        return 128 + signal.SIGINT
    except BrokenPipeError:
        raise
    except Exception as error:
        if missing := missing_package(error):
            return _say(missing, 2)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return _say(f"{shorten(error.filename, 200)}: too long for the name of a file; give a shorter path", 2)
        if type(error).__module__.startswith(("py4j", "pyspark")):
            return _say(f"Spark failed: {_cause(str(error))}", 1)
        typer.echo(printable(redact(traceback.format_exc()), lines=True), err=True, nl=False)
        return 1
    return int(status or 0)


def _say(words: str, status: int) -> int:
    with suppress(BrokenPipeError):
        typer.echo(f"weft: {message(' '.join(words.split()))}", err=True)
    return status


def _cause(trace: str) -> str:
    """Return the line of a Spark trace that says what happened: the last error in it, else the first line."""
    lines = [line.strip().removeprefix("Caused by").lstrip(": ") for line in trace.splitlines() if line.strip()]
    errors = [line for line in lines if line.split(":")[0].rsplit(".", 1)[-1].endswith(("Error", "Exception"))]
    return errors[-1] if errors else lines[0] if lines else "no reason given"
