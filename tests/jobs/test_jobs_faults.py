"""Faults in every step: commits are kept, the same command resumes, and the shards are the same bytes."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clusters import SUBMITTED, executors
from runs import (
    FOLDERS,
    TIMEOUT_SECONDS,
    Run,
    java_of,
    kill_when,
    run_arguments,
    running,
    sums,
    undisturbed,
    weft,
    workers,
)
from webs import Web

from schemas.tables import STEPS
from tests.processes import state
from tests.sampleweb.cluster import Cluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KILLED = "Exception in task"  # what Spark says of a task whose Python worker died
LOST = "Lost executor"
REGISTERED_SECONDS = 10  # by then an executor has told the driver of itself
START_SECONDS = 0.1  # of a worker: one that is killed before it has its task is not missed


def wait_for_step(run: Run, step: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not run.works_on(step):
        assert run.process.poll() is None and time.monotonic() < deadline, run.log()
        time.sleep(0.01)


def kill_in(run: Run, step: str, victims: Callable[[], list[int]], effect: str) -> None:
    """Kill one busy process of a step, and check that it was missed; an idle one is not."""
    before = run.count(effect)
    wait_for_step(run, step)
    for idle in victims():  # so that a task needs a new one, which is busy with its imports at least
        with suppress(ProcessLookupError):
            os.kill(idle, signal.SIGKILL)
    seen: dict[int, float] = {}
    while run.count(effect) == before:
        assert run.works_on(step), f"{step} was over before anything of it was killed\n{run.log()}"
        now = time.monotonic()
        grown = [pid for pid in victims() if now - seen.setdefault(pid, now) > START_SECONDS and state(pid) == "R"]
        if grown:
            with suppress(ProcessLookupError):
                os.kill(grown[0], signal.SIGKILL)
            while time.monotonic() < now + 1 and run.count(effect) == before:
                time.sleep(0.02)
        time.sleep(0.001)


@pytest.mark.slow
def test_a_worker_is_killed_in_every_step(small_web: Web, spark: "SparkSession", tmp_path: Path) -> None:
    output, near = tmp_path / "out", "dedup.minhash.enabled=true"  # without it, dedup has next to no Python
    expected = undisturbed(small_web, tmp_path / "undisturbed", near)
    with running(output, run_arguments(small_web, output, "--master", "local[2]", "--set", near)) as run:
        for step in STEPS:
            kill_in(run, step, lambda: workers(java_of(run.process.pid)), KILLED)
        assert run.end() == 0, run.log()
    assert sums(output) == expected


@pytest.mark.slow
def test_an_executor_is_lost_in_every_step(
    small_web: Web, reference: dict[str, str], cluster: Cluster, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with running(output, run_arguments(small_web, output, "--master", cluster.url), **SUBMITTED) as run:
        for step in STEPS:
            kill_executor(run, step, cluster)
        assert run.end() == 0, run.log()
    assert sums(output) == reference


def kill_executor(run: Run, step: str, cluster: Cluster) -> None:
    """Kill executors during a step until one is missed: those with busy Python workers, or after a second any.

    One that has just started may not be registered with the driver, and is not missed.
    """
    before = run.count(LOST)
    wait_for_step(run, step)
    late = time.monotonic() + 1
    while run.count(LOST) == before:
        assert run.works_on(step), f"{step} was over before anything of it was missed\n{run.log()}"
        now, java = time.monotonic(), executors(cluster)
        idle = [e for e in java if age(e) > REGISTERED_SECONDS] if now > late else []
        found = [e for e in java if "R" in map(state, workers([e]))] or idle
        if found:
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)
            while time.monotonic() < now + 2 and run.count(LOST) == before:
                time.sleep(0.02)
        time.sleep(0.01)


def age(pid: int) -> float:
    """Return the age of a process [s]; 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - started
    return 0.0


@pytest.mark.slow
def test_the_driver_is_killed_in_every_step(small_web: Web, reference: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = run_arguments(small_web, output, "--master", "local[2]")
    for step, folder in FOLDERS.items():
        begun, finished = output / "_config" / f"{step}.json", output / folder / "_manifest.json"
        kill_when(begun.exists, *arguments)
        assert not finished.exists(), f"{step} was over: kill earlier"
    done = weft(*arguments)
    assert done.returncode == 0, done.stderr
    assert sums(output) == reference
    assert weft("verify", str(output)).returncode == 0

    events = set((output / "_events").iterdir())
    again = weft(*arguments)
    assert again.returncode == 0 and again.stderr.count("already complete") == len(STEPS)
    assert set((output / "_events").iterdir()) == events, "Spark was started for nothing"


@pytest.mark.slow
def test_a_full_disk(small_web: Web, reference: dict[str, str], tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("a small file system needs root to mount it")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=300k", "none", str(disk))
    try:
        arguments = run_arguments(small_web, disk / "out", "--master", "local[2]")
        for size in ("300k", "1m", "2m"):
            mount("-o", f"remount,size={size}", str(disk))
            done = weft(*arguments)
            assert done.returncode == 2, f"{size} is enough: take less"
            last = done.stderr.splitlines()[-1]
            assert re.match(r"weft: no space left .*run the same command again", last), done.stderr[-2_000:]
        mount("-o", "remount,size=500m", str(disk))
        done = weft(*arguments)
        assert done.returncode == 0, done.stderr
        assert sums(disk / "out") == reference
        assert weft("verify", str(disk / "out")).returncode == 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@pytest.mark.slow
def test_an_archive_disappears_while_others_are_read(small_web: Web, reference: dict[str, str], tmp_path: Path) -> None:
    folder, away, output = tmp_path / "web", tmp_path / "away", tmp_path / "out"
    folder.mkdir()
    for archive in small_web.archives:
        (folder / Path(archive).name).symlink_to(archive)
    *_, last = sorted(folder.iterdir())
    web = Web(folder, small_web.proxy)
    arguments = run_arguments(web, output, "--master", "local[1]")
    with running(output, arguments) as run:
        while not run.works_on("extract"):
            assert run.process.poll() is None, run.log()
            time.sleep(0.01)
        last.rename(away)
        assert run.end() == 2
    assert re.match(rf"weft: .*{last.name}.*", run.said[-1]), run.log()
    committed = {p: p.stat().st_mtime_ns for p in (output / "pages" / "_commits").glob("[!_]*.json")}
    assert len(committed) == len(web.archives), "every other archive was read to its end"

    away.rename(last)
    done = weft(*run_arguments(web, output, "--master", "local[1]"))
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in committed} == committed, "no archive was read again"
    # where an archive lay is told by rejections and documents, not by shards
    assert sums(output) == reference


@pytest.mark.slow
def test_a_truncated_part_is_named_and_repaired(small_web: Web, reference: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = run_arguments(small_web, output, "--master", "local[2]")
    kill_when((output / "_config" / "filter.json").exists, *arguments)
    part = next((output / "captions").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-100])
    done = weft(*arguments)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert part.name in last and f"weft verify {output}" in last, last
    found = weft("verify", str(output))
    assert found.returncode == 1 and part.name in found.stdout
    assert f"weft extract --output {output} --overwrite" in found.stdout
    recipe = [part for part in arguments[1:] if part != str(output) and part != "--output"]
    mended = weft("extract", "--output", str(output), "--overwrite", *recipe)
    assert mended.returncode == 0, mended.stderr
    done = weft(*arguments)
    assert done.returncode == 0, done.stderr
    assert sums(output) == reference
