"""Shared fixtures: a sample web, a replay of its images, a Spark session, a finished run."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from webs import Finished, Web

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

settings.register_profile("weft", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("weft")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

SLOW_SECONDS = 1800  # of a slow test, where it names no limit of its own; of others, pyproject.toml


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests a longer timeout."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer() -> Generator[None, Any, Any]:
    """Disconnect from Spark before a test times out; see `_leave_spark`."""
    is_set = yield
    fail: Any = signal.getsignal(signal.SIGALRM)

    def leave_and_fail(number: int, frame: Any) -> None:
        _leave_spark()
        fail(number, frame)

    if callable(fail):
        signal.signal(signal.SIGALRM, leave_and_fail)
    return is_set


def _leave_spark() -> None:
    """Close this thread's connection to Java, and cancel Java's work.

    pyspark's clean-up uses the same connection: it would wait for the answer that the test waited for, and take it for
    its own. On a connection that is cut py4j opens another.
    """
    if "pyspark" not in sys.modules:
        return
    from pyspark import SparkContext

    context = SparkContext._active_spark_context
    if context is None or context._gateway is None:
        return
    connection = context._gateway._gateway_client.get_thread_connection()
    if connection is not None and connection.socket is not None:
        connection.socket.shutdown(socket.SHUT_RDWR)
    threading.Thread(target=context.cancelAllJobs, daemon=True).start()  # Java may hang: nobody waits for it


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The sample web."""
    yield from _web(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def small_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A few dozen pages, for tests that run the pipeline several times."""
    yield from _web(tmp_path_factory.mktemp("small-web"), num_pages=40)


def _web(folder: Path, **size: int) -> Iterator[Web]:
    from pipeline.inspect.replay import replaying
    from tests.sampleweb.web import write_web

    write_web(folder, **size)
    with replaying([str(folder / "images.warc.gz")]) as port:
        yield Web(folder, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="session")
def spark() -> Iterator["SparkSession"]:
    """The suite's only session."""
    from jobs import session

    started = session.start("local[2]")
    yield started
    started.stop()


@pytest.fixture(scope="session")
def finished(web: Web, spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The sample web, run from its archives to its shards by the sample's recipe."""
    from jobs.recipes import load
    from jobs.run import STEPS, run
    from tests.sampleweb import RECIPE

    output = tmp_path_factory.mktemp("run") / "out"
    run(STEPS, load(str(RECIPE), [f"fetch.proxy={web.proxy}"]), str(output), web.archives)
    return Finished(web, output)
