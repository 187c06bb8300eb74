"""SIGINT and SIGTERM in every step: one line, the right status, no processes left; the same command resumes.

A step is paused by stopping its Python workers.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from runs import (
    FOLDERS,
    TIMEOUT_SECONDS,
    Run,
    java_of,
    run_arguments,
    running,
    sums,
    tree_of,
    undisturbed,
    wait_until_gone,
    weft,
    workers,
)
from webs import Web

from pipeline.io.run_lock import CLAIM
from schemas.tables import STEPS

BUSY_SECONDS = 0.2  # a younger worker may not have told Java of itself, which then waits for it and for nothing else
HELD_SECONDS = 1.0  # for what is not held to come to its end
NEAR = "dedup.minhash.enabled=true"  # without it, dedup has next to no Python


def hold(run: Run, step: str) -> None:
    """Wait until a step runs, and stop its workers."""
    seen: dict[int, float] = {}
    stopped: set[int] = set()
    held_at = deadline = time.monotonic() + TIMEOUT_SECONDS
    while not stopped or time.monotonic() - held_at < HELD_SECONDS:
        assert run.process.poll() is None and time.monotonic() < deadline, run.log()
        if run.works_on(step):
            for pid in set(workers(java_of(run.process.pid))) - stopped:
                if time.monotonic() - seen.setdefault(pid, time.monotonic()) > BUSY_SECONDS:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                    stopped.add(pid)
                    held_at = time.monotonic()
        time.sleep(0.01)
    assert run.works_on(step), f"{step} was over before it was held\n{run.log()}"


def interrupt(run: Run, step: str, number: signal.Signals, group: bool) -> None:
    """Pause a step, send a signal to its process, or to its group as a terminal does, and check how it ends."""
    hold(run, step)
    processes = tree_of(run.process.pid)
    assert len(processes) > 1, "Java, and Python workers"
    if group:
        os.killpg(run.process.pid, number)
    else:
        run.process.send_signal(number)
    assert run.end() == 128 + number, run.log()
    assert run.said[-1] == f"weft: interrupted by {number.name}; run the same command to continue\n", run.log()
    assert not [line for line in run.said if line.startswith(("Traceback", "ERROR", "WARN "))], run.log()

    wait_until_gone(processes)
    output = run.output
    assert not (output / f"{CLAIM}.json").exists()
    assert not (output / FOLDERS[step] / "_manifest.json").exists()
    assert [path for path in output.rglob("*") if path.name.startswith(("_draft-", "_temporary"))] == []


@pytest.mark.parametrize(
    ("step", "number", "group"), [("extract", signal.SIGTERM, False), ("filter", signal.SIGINT, True)]
)
def test_a_signal_ends_a_step(small_web: Web, tmp_path: Path, step: str, number: signal.Signals, group: bool) -> None:
    output = tmp_path / "out"
    arguments = run_arguments(small_web, output, "--master", "local[2]", "--set", "clip.enabled=false")
    with running(output, arguments) as run:
        interrupt(run, step, number, group)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # nine runs of the command
def test_the_same_command_resumes_after_a_signal_in_every_step(small_web: Web, spark: object, tmp_path: Path) -> None:
    expected = undisturbed(small_web, tmp_path / "undisturbed", NEAR)
    output = tmp_path / "out"
    arguments = run_arguments(small_web, output, "--master", "local[2]", "--set", NEAR)
    for turn, step in enumerate(STEPS):
        number = signal.SIGINT if turn % 2 else signal.SIGTERM
        with running(output, arguments) as run:
            interrupt(run, step, number, group=turn % 4 > 1)
    done = weft(*arguments)
    assert done.returncode == 0, done.stderr
    assert sums(output) == expected
    assert weft("verify", str(output)).returncode == 0
