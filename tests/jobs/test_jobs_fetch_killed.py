"""Fetch, killed at every level: committed answers are not requested again, and nothing is lost."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clusters import SUBMITTED, executors
from fetching import answers, fetched, recipe, requests, settings, statuses, want
from runs import BIN, TIMEOUT_SECONDS, java_of, kill_when, running, started_by, wait_for, wait_until_gone

from schemas.tables import image_id
from tests.sampleweb.cluster import Cluster
from tests.sampleweb.faulty.server import Server, serving

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HOSTS = "127.0.0.1", "127.0.0.2"  # of different tasks of two
NUM_IMAGES, LATE_SECONDS = 64, 0.1  # of each host; the first commit comes when half of a host's have been decoded
Wanted = dict[str, tuple[str, str]]  # id of an image to its host and path
SLOWLY = ("fetch.host_connections=4", "fetch.commit_images=5")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(2) as server:
        yield server


@pytest.fixture
def wanted(server: Server, tmp_path: Path) -> Wanted:
    """The requested images, in a run before its fetch."""
    images = [(host, f"/late/{LATE_SECONDS}/{number}.jpg") for host in HOSTS for number in range(NUM_IMAGES)]
    found = {image_id(server.url(path, host)): (host, path) for host, path in images}
    want(tmp_path, [server.url(path, host) for host, path in found.values()])
    return found


def command(server: Server, output: Path, master: str) -> list[str]:
    """Return the arguments of the fetch."""
    keys = [part for setting in settings(server, *SLOWLY) for part in ("--set", setting)]
    return ["fetch", "--output", str(output), "--master", master, *keys]


def answered(output: Path) -> set[str]:
    """Return the ids of images that a running fetch has committed."""
    return {answer["image_id"] for answer in answers(output)}


def busy_workers(java: int) -> list[int]:
    """Return the Python workers of a Spark process that fetch: those with a decode worker."""
    workers = [worker for daemon in started_by(java) for worker in started_by(daemon)]
    return [worker for worker in workers if started_by(worker)]


def check(server: Server, output: Path, wanted: Wanted, before: set[str]) -> None:
    """Check the result of a fetch that was killed after it had committed the images `before`."""
    assert statuses(output) == {server.url(path, host): "ok" for host, path in wanted.values()}
    asked = requests(server)
    assert asked.keys() == set(wanted.values())
    assert 0 < len(before) < len(wanted)
    assert {asked[wanted[name]] for name in before} == {1}
    assert set(asked.values()) == {1, 2}, "it was killed while it asked"


def test_a_worker_is_killed(
    server: Server, wanted: Wanted, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    temporary = tmp_path_factory.mktemp("a b'c%20#ü")
    with running(tmp_path, command(server, tmp_path, "local[2]"), TMPDIR=str(temporary)) as run:
        wait_for(lambda: bool(answered(tmp_path)), run.process)
        before = answered(tmp_path)
        (java,) = java_of(run.process.pid)
        assert f"-Djava.io.tmpdir={temporary}".encode() in Path(f"/proc/{java}/cmdline").read_bytes().split(b"\0")
        assert not list(Path("/tmp").glob(f"hsperfdata_*/{java}")), "Java's counters"
        worker = busy_workers(java)[0]
        decoders = started_by(worker)
        decoders += started_by(decoders[0])
        assert len(list(temporary.rglob("weft-fetch-*"))) == len(HOSTS)
        os.kill(worker, signal.SIGKILL)
        assert run.end() == 0, run.log()
        wait_until_gone([java, *decoders])
    check(server, tmp_path, wanted, before)
    assert len({host for (host, _), times in requests(server).items() if times > 1}) == 1, "the other task went on"
    assert list(temporary.iterdir()) == []


def test_a_run_is_killed(server: Server, wanted: Wanted, spark: "SparkSession", tmp_path: Path) -> None:
    kill_when(lambda: bool(answered(tmp_path)), *command(server, tmp_path, "local[2]"))
    before = answered(tmp_path)
    assert not (tmp_path / "images" / "_manifest.json").exists(), "it was over: kill earlier"
    fetched(tmp_path, recipe(server, *SLOWLY))
    check(server, tmp_path, wanted, before)


@pytest.mark.slow
def test_an_executor_is_killed(server: Server, wanted: Wanted, cluster: Cluster, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [str(BIN / "weft"), *command(server, tmp_path, cluster.url)],
        env={**os.environ, **SUBMITTED},
        stdout=subprocess.DEVNULL,
        stderr=(tmp_path / "log").open("wb"),
        start_new_session=True,
    )
    try:
        # both executors are at it: one that had asked for nothing yet would not be missed
        wait_for(lambda: bool(answered(tmp_path)) and {host for host, _ in requests(server)} == set(HOSTS), process)
        before = answered(tmp_path)
        executor = next(java for java in executors(cluster) if busy_workers(java))
        os.kill(executor, signal.SIGKILL)
        assert process.wait(TIMEOUT_SECONDS) == 0, (tmp_path / "log").read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    check(server, tmp_path, wanted, before)
