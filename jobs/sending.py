"""Check what a person asks to be sent to a cluster, and send it."""

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jobs import recipes
from jobs.contact import check_contact
from jobs.rates import shipped_rates
from jobs.session import check_java, check_master, java_environment
from jobs.sizing import Sizes
from jobs.submit import Submission, check, compose, defaults, home
from pipeline.plan.archives import count_archives
from schemas.display import message, printable
from schemas.errors import WeftError
from schemas.recipe import Recipe
from schemas.secrets import MASK, redact
from schemas.signals import Interrupted, continuing, resuming

_STOP_SECONDS = 30  # a driver takes 20 at most


@dataclass(frozen=True)
class Request:
    """The arguments of `weft submit`, as given."""

    inputs: tuple[str, ...]
    output: str
    master: str
    environment: str | None
    deploy_mode: str | None
    conf: tuple[str, ...]
    executors: int | None
    executor_cores: int
    gpus_per_executor: int
    gpu_discovery: str | None
    recipe: str
    assignments: tuple[str, ...]
    overwrite: bool


def send(request: Request, dry_run: bool) -> int:
    """Check, then run spark-submit and return its exit status; or print its line.

    Raises: WeftError for what is wrong with the arguments, or missing.
    """
    check_master(request.master)
    recipe = recipes.load(request.recipe, list(request.assignments))
    check_contact(recipe)
    spark = home()
    submission = _submission(request, recipe, defaults(spark))
    check(submission)
    for warning in _warnings(request, submission):
        print(f"weft: {message(warning)}", file=sys.stderr)
    command = compose(submission, spark)
    if dry_run:
        shown = redact(shlex.join(command))
        if shown != shlex.join(command):
            print(f"weft: credentials are shown as {MASK}: put them in again", file=sys.stderr)
        print(printable(shown, lines=True))
        return 0
    check_java()
    there = continuing("the driver goes on on the cluster, whose own commands end it")
    with there if submission.mode == "cluster" else resuming(request.overwrite):
        return _wait({**os.environ, **java_environment(), "SPARK_HOME": str(spark)}, command)


def _wait(environment: dict[str, str], command: list[str]) -> int:
    """Run a command in a session of its own, and return its exit status.

    A signal goes on to all processes of the session, the driver among them, and is raised once they have ended.
    """
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        status = process.wait()
    except Interrupted as interrupted:
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(process.pid, interrupted.number)
            deadline = time.monotonic() + _STOP_SECONDS
            while time.monotonic() < deadline:
                process.poll()  # or it would count as one that runs
                os.killpg(process.pid, 0)
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return status if status >= 0 else 128 - status


def _submission(request: Request, recipe: Recipe, found: dict[str, str]) -> Submission:
    archives = count_archives(request.inputs)
    num_bytes = archives.num_bytes(shipped_rates()["archive.bytes"].value or 0.0)
    sizes = Sizes(archives.num, num_bytes, recipe.clip.enabled, request.executor_cores, request.executors,
                  request.gpus_per_executor, request.gpu_discovery)  # fmt: skip
    bare = Submission(request.master, request.deploy_mode, request.environment, _settings(request.conf), sizes,
                      defaults=found)  # fmt: skip
    name, files = _recipe(request.recipe, bare.mode)
    arguments = ["--recipe", name, "--output", _absolute(request.output)]
    arguments += [part for assignment in request.assignments for part in ("--set", assignment)]
    arguments += ["--overwrite"] * request.overwrite
    arguments += [_absolute(name) for name in request.inputs]
    return Submission(bare.master, bare.deploy_mode, bare.environment, bare.conf, sizes, arguments, files, found)


def _recipe(name: str, mode: str) -> tuple[str, tuple[str, ...]]:
    """Return a recipe's name as the driver reads it, and the files that go there with it."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        return name, ()
    return (path.name, (str(path.absolute()),)) if mode == "cluster" else (str(path.absolute()), ())


def _settings(given: tuple[str, ...]) -> dict[str, str]:
    for setting in given:
        if "=" not in setting or not setting.startswith("spark."):
            raise WeftError(f"--conf {setting}: write it as spark.KEY=VALUE")
    return {key: value for key, _, value in (setting.partition("=") for setting in given)}


def _warnings(request: Request, submission: Submission) -> list[str]:
    """Return what may be meant and mostly is not."""
    found = []
    if "://" not in request.output or request.output.startswith("file://"):
        found.append(f"--output {request.output} is a local path: it must be one folder that every node has (NFS, say)")
    if any("://" not in name for name in request.inputs):
        found.append("inputs are local paths: every node must have them at the same place")
    if request.environment is None and submission.kind != "k8s":
        found.append(f"without --environment every node needs Weft in {sys.executable}")
    return found


def _absolute(name: str) -> str:
    return name if "://" in name else str(Path(name).absolute())
