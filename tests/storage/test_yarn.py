"""YARN: a submitted run from and to HDFS, with the packed environment, is the same as on disk, also after kills."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
import pytest
from hadoop import Crawl, Hadoop, application_of, shards

from jobs.session import QUICK_COMPILER
from pipeline.io.run_lock import CLAIM, STALE_SECONDS
from pipeline.io.store import Store
from tests.jobs.runs import ROOT, Run, running, wait_for, wait_until_gone

pytest_plugins = ("hadoop_fixtures",)
pytestmark = pytest.mark.slow

PACKAGES = ("schemas", "filters", "pipeline", "jobs", "trainer")
EXECUTOR, DRIVER = "YarnCoarseGrainedExecutorBackend", "ApplicationMaster"
CONF = {
    "spark.yarn.jars": f"local:{Path(pyspark.__file__).parent}/jars/*",  # or each submission would copy them to HDFS
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.driver.extraJavaOptions": QUICK_COMPILER,
    "spark.executor.extraJavaOptions": QUICK_COMPILER,
}
OPTIONS = ["--master", "yarn", "--deploy-mode", "cluster", "--executors", "2", "--executor-cores", "1",
           *(part for key, value in CONF.items() for part in ("--conf", f"{key}={value}"))]  # fmt: skip


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed environment with Weft and its own Python, as of `make package`.

    Other packages are not packed but found in this environment: with them, an archive takes minutes to be packed, and
    minutes more until YARN has unpacked it.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "environment")], check=True)
    (packages,) = (folder / "environment").glob("lib/python3*/site-packages")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    path = folder / "environment.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(folder / "environment", ".")
    return path


class Submitted:
    """A submitted run, and its output."""

    def __init__(self, cluster: Hadoop, crawl: Crawl, environment: Path, name: str) -> None:
        self.cluster, self.store = cluster, Store(f"{cluster.url}/{name}/out")
        self.arguments = ["submit", *OPTIONS, "--environment", str(environment), *crawl.arguments(self.store.root)]

    @contextmanager
    def start(self) -> Iterator[Run]:
        """Submit the run; with the block, its application ends too."""
        try:
            environment = {"SPARK_LOCAL_IP": "127.0.0.1", **self.cluster.environment}
            with running(Path("unused"), self.arguments, **environment) as run:
                yield run
        finally:
            self.cluster.kill_all()

    def works_on(self, step: str, folder: str) -> bool:
        """Return whether executors work on a step."""
        begun = f"_config/{step}.json" in self.store.documents("_config")
        return begun and self.store.manifest(folder) is None and bool(self.cluster.containers(EXECUTOR))

    def log(self, run: Run) -> str:
        return self.cluster.said(application_of("".join(run.said)))[-8_000:]

    def wait(self, run: Run, condition: Callable[[], bool]) -> None:
        try:
            wait_for(condition, run.process)
        except AssertionError as error:
            raise AssertionError(f"{run.log()}\n{self.log(run)}") from error


def test_a_run_whose_executor_is_killed_is_the_same_as_on_disk(
    cluster: Hadoop, crawl: Crawl, environment: Path
) -> None:
    submitted = Submitted(cluster, crawl, environment, "executor")
    with submitted.start() as run:
        submitted.wait(run, lambda: submitted.works_on("extract", "pages"))
        killed = cluster.containers(EXECUTOR)[0]
        os.kill(killed, signal.SIGKILL)
        assert run.end() == 0, submitted.log(run)
    app = cluster.applications()[-1]
    assert (app["id"], app["finalStatus"]) == (application_of(run.log()), "SUCCEEDED")
    wait_until_gone([*cluster.containers(EXECUTOR), *cluster.containers(DRIVER)])
    assert shards(submitted.store) == crawl.reference


def test_a_run_that_is_killed_ends_and_continues(cluster: Hadoop, crawl: Crawl, environment: Path) -> None:
    submitted = Submitted(cluster, crawl, environment, "application")
    with submitted.start() as run:
        submitted.wait(run, lambda: submitted.works_on("extract", "pages"))
        of_run = [*cluster.containers(EXECUTOR), *cluster.containers(DRIVER), *cluster.containers("main.py")]
        cluster.kill(application_of("".join(run.said)))
        assert run.end() != 0, submitted.log(run)
        wait_until_gone(of_run)
    assert cluster.applications()[-1]["finalStatus"] == "KILLED"
    if submitted.store.documents(CLAIM):  # YARN gives a driver a quarter of a second to end
        time.sleep(STALE_SECONDS)
    with submitted.start() as run:
        assert run.end() == 0, submitted.log(run)
    assert shards(submitted.store) == crawl.reference
