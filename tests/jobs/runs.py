"""Start `weft` in a process, and kill processes."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from webs import Web

from schemas.tables import STEPS as SPECS
from tests.processes import children, is_alive

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent.parent
TIMEOUT_SECONDS = 600
FOLDERS = {step.name: step.folder for step in SPECS.values()}


def weft(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends."""
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
    from tests.sampleweb import RECIPE

    return ["run", "--recipe", str(RECIPE), "--output", str(output), "--set", f"fetch.proxy={web.proxy}",
            "--set", "fetch.commit_images=10", *more, *web.archives]  # fmt: skip


def started_by(pid: int) -> list[int]:
    """Return the running child processes of a process."""
    return sorted(filter(is_alive, children(pid)))


def tree_of(pid: int) -> list[int]:
    """Return all running descendants of a process."""
    return [found for child in started_by(pid) for found in (child, *tree_of(child))]


def java_of(pid: int) -> list[int]:
    """Return the running Java processes that a process has started."""
    return [child for child in started_by(pid) if _named(child, "java")]


def _named(pid: int, name: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == name
    return False


def kill_tree(process: subprocess.Popen[Any]) -> None:
    """SIGKILL a process and all its descendants: Java has its own session, workers have a process group."""
    if process.poll() is None:
        for pid in (process.pid, *tree_of(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait for a condition while a process runs."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "what to kill it for never came"
        time.sleep(0.01)


def wait_until_gone(processes: list[int]) -> None:
    """Wait, for some seconds at most, until the processes of an ended command have ended."""
    deadline = time.monotonic() + 20
    while left := list(filter(is_alive, processes)):
        assert time.monotonic() < deadline, f"{left} outlive the command"
        time.sleep(0.01)


def kill_when(condition: Callable[[], bool], *arguments: str) -> None:
    """Start the command, and SIGKILL it with Java and workers as soon as the condition holds."""
    process = subprocess.Popen(
        [str(BIN / "weft"), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(condition, process)
    finally:
        kill_tree(process)


class Run:
    """A run in another process, and its messages."""

    def __init__(self, output: Path, arguments: list[str], **environment: str) -> None:
        self.output = output
        self.process = subprocess.Popen(
            [str(BIN / "weft"), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run in the background
        )
        self.said: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        self.said.extend(self.process.stderr)

    def works_on(self, step: str) -> bool:
        """Return whether a step is running."""
        begun = (self.output / "_config" / f"{step}.json").exists()
        return begun and not (self.output / FOLDERS[step] / "_manifest.json").exists()

    def count(self, words: str) -> int:
        return sum(words in line for line in list(self.said))

    def log(self) -> str:
        return "".join(self.said)[-3_000:]

    def end(self) -> int:
        """Return the exit status."""
        status = self.process.wait(TIMEOUT_SECONDS)
        self.reader.join(10)
        return status


@contextmanager
def running(output: Path, arguments: list[str], **environment: str) -> Iterator[Run]:
    run = Run(output, arguments, **environment)
    try:
        yield run
    finally:
        kill_tree(run.process)
        run.reader.join(10)
        assert run.process.stderr
        run.process.stderr.close()


def workers(java: list[int]) -> list[int]:
    """Return the Python workers of Spark's processes."""
    daemons = [pid for parent in java for pid in started_by(parent)]
    return [pid for daemon in daemons for pid in started_by(daemon)]


def sums(output: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that a trainer reads."""
    shards = output / "shards"
    found = [p for p in shards.rglob("*") if p.is_file() and not p.name.startswith("_")]
    return {str(p.relative_to(shards)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def undisturbed(web: Web, output: Path, *assignments: str) -> dict[str, str]:
    """Run a web with the sample's recipe in the active session; return the checksums of the shards."""
    from jobs.recipes import load
    from jobs.run import STEPS, run
    from tests.sampleweb import RECIPE

    run(STEPS, load(str(RECIPE), [f"fetch.proxy={web.proxy}", *assignments]), str(output), web.archives)
    return sums(output)
