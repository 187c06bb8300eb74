"""Start `weft` as a person does, in a process of its own, and kill what runs."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from webs import Web

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent.parent
TIMEOUT_SECONDS = 600


def weft(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [str(BIN / "weft"), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        env={**os.environ, **environment},
    )


def run_arguments(web: Web, output: Path, *more: str) -> list[str]:
    """Return the arguments that run a sample web by the sample's recipe."""
    from sample import RECIPE

    return ["run", "--recipe", str(RECIPE), "--output", str(output), "--set", f"fetch.proxy={web.proxy}",
            "--set", "fetch.shard_images=10", *more, *web.archives]  # fmt: skip


def started_by(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in (thread / "children").read_text().split()]
    return [child for child in found if state(child) not in ("Z", "")]


def java_of(pid: int) -> list[int]:
    """Return the Java processes that a process has started and that still run."""
    return [child for child in started_by(pid) if _named(child, "java")]


def _named(pid: int, name: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == name
    return False


def state(pid: int) -> str:
    """Return what a process does: R runs, S sleeps, Z is dead and not buried, '' is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something holds while a process runs."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "what to kill it for never came"
        time.sleep(0.01)


def kill_when(condition: Callable[[], bool], *arguments: str) -> None:
    """Start the command and SIGKILL it, Java and workers included, as soon as the condition holds."""
    process = subprocess.Popen(
        [str(BIN / "weft"), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(condition, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def sums(output: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that a trainer reads."""
    shards = output / "shards"
    found = [p for p in shards.rglob("*") if p.is_file() and not p.name.startswith("_")]
    return {str(p.relative_to(shards)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def undisturbed(web: Web, output: Path, *assignments: str) -> dict[str, str]:
    """Run a web by the sample's recipe in the session that is active; return the sums of what came of it."""
    from jobs.recipes import load
    from jobs.run import STEPS, run
    from sample import RECIPE

    run(STEPS, load(str(RECIPE), [f"fetch.proxy={web.proxy}", *assignments]), str(output), web.archives)
    return sums(output)
