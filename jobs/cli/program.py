"""Run the command line, and tell people in one line what went wrong."""

import sys  # noqa: I001  # the help lists commands in the order of these imports
import traceback

import typer

from jobs.cli import steps, plan, submit  # noqa: F401  # each adds its commands
from jobs.cli import inspect, report, verify, card  # noqa: F401
from jobs.cli import recipes, training, evaluation, replay  # noqa: F401
from jobs.cli.options import app
from schemas.display import message, printable
from schemas.errors import WeftError
from schemas.secrets import redact
from schemas.signals import Interrupted, interruptible


def main() -> None:
    """Run the command line. An error meant for people is one line, with status 2; SIGINT and SIGTERM, 130 and 143."""
    try:
        with interruptible():
            app()
    except WeftError as error:
        sys.exit(_say(str(error), 2))
    except Interrupted as interrupted:
        sys.exit(_say(str(interrupted), interrupted.status))
    except Exception as error:
        if not type(error).__module__.startswith(("py4j", "pyspark")):
            typer.echo(printable(redact(traceback.format_exc()), lines=True), err=True, nl=False)
            sys.exit(1)
        sys.exit(_say(f"Spark failed: {_cause(str(error))}", 1))


def _say(words: str, status: int) -> int:
    typer.echo(f"weft: {message(' '.join(words.split()))}", err=True)
    return status


def _cause(trace: str) -> str:
    """Return the line of a Spark trace that says what happened: the last error in it, else the first line."""
    lines = [line.strip().removeprefix("Caused by").lstrip(": ") for line in trace.splitlines() if line.strip()]
    errors = [line for line in lines if line.split(":")[0].rsplit(".", 1)[-1].endswith(("Error", "Exception"))]
    return errors[-1] if errors else lines[0] if lines else "no reason given"
