"""The same inputs give the same shards, byte for byte: on one core, on two, on a cluster, and after being killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from runs import BIN, ROOT, TIMEOUT_SECONDS, kill_when, run_arguments, sums, weft
from webs import Web

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUICK_START = "-XX:TieredStopAtLevel=1"


@pytest.fixture(scope="module")
def reference(small_web: Web, spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `local[2]` makes of the small web, undisturbed."""
    from jobs.recipes import load
    from jobs.run import STEPS, run
    from sample import RECIPE

    assert spark.sparkContext.master == "local[2]"
    output = tmp_path_factory.mktemp("reference") / "out"
    run(STEPS, load(str(RECIPE), [f"fetch.proxy={small_web.proxy}"]), str(output), small_web.archives)
    found = sums(output)
    assert {name.split("/")[0] for name in found} == {"shards.json", "interleaved", "caption", "text"}
    return found


def test_one_core_killed_in_extract_and_in_fetch(small_web: Web, reference: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = run_arguments(small_web, output, "--master", "local[1]")
    committed = output / "pages" / "_commits"
    kill_when(lambda: committed.exists() and any(committed.glob("[!_]*.json")), *arguments)
    assert not (output / "pages" / "_manifest.json").exists(), "extract was over: kill earlier"
    before = {p.name: p.stat().st_mtime_ns for p in committed.glob("[!_]*.json")}

    downloads = output / "images" / "_download"
    kill_when(lambda: downloads.exists() and any(downloads.glob("*/bytes/*_stats.json")), *arguments)
    assert not (output / "images" / "_manifest.json").exists(), "fetch was over: kill earlier"
    assert before.items() <= {p.name: p.stat().st_mtime_ns for p in committed.glob("*.json")}.items(), (
        "a committed archive was read again"
    )

    done = weft(*arguments)
    assert done.returncode == 0, done.stderr
    assert sums(output) == reference


def test_a_finished_run_is_not_done_again(small_web: Web, spark: "SparkSession", tmp_path: Path) -> None:
    from jobs.recipes import load
    from jobs.run import STEPS, run
    from sample import RECIPE

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


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """One Master and two Workers of one core each, from the pyspark that pip installed; yields the Master's URL."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }
    log = (tmp_path / "cluster.log").open("wb")
    daemons: list[subprocess.Popen[bytes]] = []

    def start(kind: str, *arguments: str) -> None:
        command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", "-h", "127.0.0.1", *arguments]
        daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))

    port = _free_port()
    url = f"spark://127.0.0.1:{port}"
    try:
        start("master.Master", "-p", str(port), "--webui-port", str(_free_port()))
        for number in range(2):
            start("worker.Worker", "-c", "1", "-m", "2g", "-d", str(tmp_path / f"worker-{number}"),
                  "--webui-port", str(_free_port()), url)  # fmt: skip
        deadline = time.monotonic() + 120
        while (tmp_path / "cluster.log").read_text(errors="replace").count("Successfully registered with master") < 2:
            assert time.monotonic() < deadline, (tmp_path / "cluster.log").read_text(errors="replace")[-2_000:]
            time.sleep(0.2)
        yield url
    finally:
        for daemon in daemons:
            os.killpg(daemon.pid, signal.SIGTERM)
        for daemon in daemons:
            daemon.wait(timeout=30)
        log.close()


def test_a_cluster_by_spark_submit(small_web: Web, reference: dict[str, str], cluster: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    settings = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
                "spark.executor.memory": "1g", "spark.executor.cores": "1", "spark.sql.shuffle.partitions": "2",
                "spark.driver.extraJavaOptions": QUICK_START,
                "spark.executor.extraJavaOptions": QUICK_START}  # fmt: skip
    conf = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    submit = [str(BIN / "spark-submit"), "--master", cluster, *conf, str(ROOT / "jobs" / "run.py")]
    done = subprocess.run(
        [*submit, *run_arguments(small_web, output)[1:]],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    registered = re.findall(r"Launching executor (\S+)/\d+ on worker", (tmp_path / "cluster.log").read_text())
    assert len(registered) >= 2, "both Workers took part"
    assert sums(output) == reference
