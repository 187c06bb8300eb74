"""The same inputs give the same shards, byte for byte: on one core, on two, on a cluster, and after a kill."""

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from clusters import SUBMIT_OPTIONS
from fetching import answers, statuses
from runs import BIN, ROOT, TIMEOUT_SECONDS, kill_when, run_arguments, sums, weft
from webs import Web

from tests.sampleweb.cluster import ENVIRONMENT, Cluster

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_one_core_killed_in_extract_and_in_fetch(small_web: Web, reference: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = run_arguments(small_web, output, "--master", "local[1]")
    committed = output / "pages" / "_commits"
    kill_when(lambda: committed.exists() and any(committed.glob("[!_]*.json")), *arguments)
    assert not (output / "pages" / "_manifest.json").exists(), "extract was over: kill earlier"
    before = {p: p.stat().st_mtime_ns for p in committed.glob("[!_]*.json")}

    kill_when(lambda: any(answer["part"] for answer in answers(output)), *arguments)
    assert not (output / "images" / "_manifest.json").exists(), "fetch was over: kill earlier"
    parts = {output / answer["part"] for answer in answers(output) if answer["part"]}
    before |= {part: part.stat().st_mtime_ns for part in parts}

    done = weft(*arguments)
    assert done.returncode == 0, done.stderr
    assert sums(output) == reference
    assert {p: p.stat().st_mtime_ns for p in before} == before, "what was committed was read or fetched again"
    assert statuses(output)  # which has each image once


def test_a_finished_run_is_not_repeated(small_web: Web, spark: "SparkSession", tmp_path: Path) -> None:
    from jobs.recipes import load
    from jobs.run import STEPS, run
    from tests.sampleweb import RECIPE

    output = tmp_path / "out"
    recipe = load(str(RECIPE), ["clip.enabled=false", "corpora=[text]"])
    first = run(STEPS, recipe, str(output), small_web.archives[:2])
    times = {p: p.stat().st_mtime_ns for p in output.rglob("*.parquet")}
    assert run(STEPS, recipe, str(output), small_web.archives[:2]) == first
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*.parquet")} == times

    # a new archive: only it is read, and everything after follows
    second = run(STEPS, recipe, str(output), small_web.archives[:3])
    assert second["extract"].counts["archives"] == 3
    unchanged = {p for p in times if p.parent.name == "pages"}
    assert {p: p.stat().st_mtime_ns for p in unchanged} == {p: times[p] for p in unchanged}
    whole = tmp_path / "whole"
    run(STEPS, recipe, str(whole), small_web.archives[:3])
    assert sums(output) == sums(whole)


def test_a_cluster_by_spark_submit(small_web: Web, reference: dict[str, str], cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "out"
    submit = [str(BIN / "spark-submit"), "--master", cluster.url, *SUBMIT_OPTIONS, str(ROOT / "jobs" / "main.py")]
    done = subprocess.run(
        [*submit, *run_arguments(small_web, output)[1:]],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        env={**os.environ, **ENVIRONMENT},
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    launched = set(re.findall(r"Launching executor (\S+)/\d+ on worker (\S+)", cluster.log.read_text()))
    assert any(len({worker for of_app, worker in launched if of_app == app}) == 2 for app, _ in launched), (
        "both Workers took part"
    )
    assert sums(output) == reference
