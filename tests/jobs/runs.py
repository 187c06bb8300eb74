"""Start `weft` as a person does, in a process of its own, and kill what runs."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields["PPid"]) == pid and not fields["State"].startswith("Z"):
            found.append(int(fields["Pid"]))
    return found


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
