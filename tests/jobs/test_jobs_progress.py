"""Progress while a step runs, and Spark's history server afterwards."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import TIMEOUT_SECONDS, weft
from webs import Web

from jobs.progress import RECENT_SECONDS, Pace, Snapshot, Stages, describe, duration

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def soon(condition: Callable[[], Any]) -> Any:
    """Return the first true value of a condition."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return value


def test_tasks_remaining_time_and_rows_of_a_step_are_shown(spark: "SparkSession", tmp_path: Path) -> None:
    from pyspark import InheritableThread

    def wait(number: int) -> int:
        while not (tmp_path / f"go-{number}").exists():
            time.sleep(0.02)
        return number

    spark.range(5).write.parquet(str(tmp_path / "before"))  # of no step: never counted
    stages = Stages(spark, "test")
    rdd = spark.sparkContext.parallelize(range(4), 4).map(wait)
    job = InheritableThread(target=lambda: rdd.toDF("int").write.parquet(str(tmp_path / "rows")))
    try:
        job.start()
        look = soon(lambda: (seen := stages.snapshot()).tasks and seen)
        assert (look.stage, look.done, look.tasks, look.failed, look.seconds_left) == (1, 0, 4, 0, None)
        for number in range(2):
            (tmp_path / f"go-{number}").touch()
        look = soon(lambda: (seen := stages.snapshot()).done == 2 and seen)
        assert look.seconds_left is not None and look.seconds_left > 0
    finally:
        for number in range(4):
            (tmp_path / f"go-{number}").touch()
        job.join(TIMEOUT_SECONDS)
    assert soon(lambda: stages.snapshot().rows) == 4
    assert stages.snapshot().tasks == 0
    stages.close()
    spark.range(7).write.parquet(str(tmp_path / "after"))
    assert stages.snapshot().rows == 4


def test_no_remaining_time_is_shown_before_a_task_finishes() -> None:
    pace = Pace(begun=100.0)
    assert pace.seconds_left(now=130.0, num_done=0, num_tasks=10) is None
    assert pace.seconds_left(now=140.0, num_done=4, num_tasks=10) == 60  # 10 s each, 6 to go
    assert pace.seconds_left(now=150.0, num_done=4, num_tasks=10) == 50
    assert [pace.seconds_left(float(now), 4, 10) for now in range(151, 1000, 10)] == [None] * 85  # it hangs
    assert pace.seconds_left(now=1000.0, num_done=5, num_tasks=10) == 900
    assert pace.seconds_left(now=1001.0, num_done=3, num_tasks=10) == pytest.approx(
        901 / 3 * 7
    )  # two were lost and are repeated


@given(st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 3)), max_size=30))
def test_remaining_time_is_only_shown_just_after_a_task(steps: list[tuple[float, int]]) -> None:
    pace, now, done, finished = Pace(0.0), 0.0, 0, None
    for seconds, num in steps:
        now, done = now + seconds, done + num
        finished = now if num else finished
        left = pace.seconds_left(now, done, 100)
        if finished is None or now - finished > RECENT_SECONDS:
            assert left is None
        else:
            assert left is not None and left >= 0


def test_words_say_what_is_left_what_failed_and_what_came() -> None:
    assert describe(Snapshot(1, 0, 4, 0, 0, None), None) == ""
    assert describe(Snapshot(1, 2, 4, 1, 1_200, 90.4), None) == (
        "about 90 s left for these tasks; 1 failed, repeated; 1,200 rows written"
    )
    starved = describe(Snapshot(1, 0, 4, 0, 0, None, starved=True), None)
    assert starved.startswith("no executor has started: the cluster has no room") and "--executor-cores" in starved
    assert describe(Snapshot(1, 2, 4, 0, 1_200, 600), lambda: "7 pages") == "about 10 min left for these tasks; 7 pages"
    assert [duration(s) for s in (0, 99, 150, 900, 9_000)] == ["0 s", "99 s", "2.5 min", "15 min", "2.5 h"]


def test_extract_shows_its_counts(small_web: Web, spark: "SparkSession", tmp_path: Path) -> None:
    from jobs.extract import STEP
    from jobs.recipes import load
    from jobs.step import Context, run_step
    from pipeline.io.store import Store

    context = Context(spark, Store(str(tmp_path)), load("everything", []), small_web.archives)
    assert STEP.watch
    tell = STEP.watch(context)
    assert tell() == f"0 of {len(small_web.archives)} archives"
    manifest = run_step(STEP, context)
    archives, found = len(small_web.archives), Counter(manifest.counts)
    assert tell() == (
        f"{archives} of {archives} archives; {found['pages']:,} pages, {found['captions']:,} captions, "
        f"{sum(manifest.rejected.values()):,} rejected so far"
    )


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.mark.slow
def test_the_history_server_shows_a_finished_run(small_web: Web, tmp_path: Path) -> None:
    import pyspark

    output, home, port = tmp_path / "out", Path(pyspark.__file__).parent, _free_port()
    done = weft("extract", "-r", "everything", "-o", str(output), "--master", "local[1]", small_web.archives[0])
    assert done.returncode == 0, done.stderr
    options = f"-Dspark.history.fs.logDirectory={output}/_events -Dspark.history.ui.port={port}"
    server = subprocess.Popen(
        [str(home / "bin" / "spark-class"), "org.apache.spark.deploy.history.HistoryServer"],
        env={**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HISTORY_OPTS": options},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/applications{path}", timeout=120) as answer:
                return json.load(answer)
        except OSError:
            return None

    try:
        (application,) = soon(lambda: ask(""))
        assert application["name"] == "weft" and application["attempts"][0]["completed"]
        jobs = ask(f"/{application['id']}/jobs")
        assert {(job["description"], job["status"]) for job in jobs} == {("weft extract", "SUCCEEDED")}
    finally:
        server.terminate()
        server.wait(TIMEOUT_SECONDS)
