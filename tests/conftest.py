"""What tests share: one sample web, one replay of its images, one Spark session, one finished run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from webs import Finished, Web

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

settings.register_profile("weft", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("weft")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The whole sample web."""
    yield from _web(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def small_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A few dozen pages, for tests that run the pipeline several times."""
    yield from _web(tmp_path_factory.mktemp("small-web"), num_pages=40)


def _web(folder: Path, **size: int) -> Iterator[Web]:
    from pipeline.replay import replaying
    from sample.web import write_web

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
    from sample import RECIPE

    output = tmp_path_factory.mktemp("run") / "out"
    run(STEPS, load(str(RECIPE), [f"fetch.proxy={web.proxy}"]), str(output), web.archives)
    return Finished(web, output)
