"""Fixtures of run tests: a cluster, and the result of an undisturbed run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from runs import undisturbed
from webs import Web

from tests.sampleweb.cluster import Cluster, standing

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One Master and two Workers of one core each."""
    with standing(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def reference(small_web: Web, spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The result of an undisturbed run of the small web with `local[2]`."""
    assert spark.sparkContext.master == "local[2,4]"
    found = undisturbed(small_web, tmp_path_factory.mktemp("reference") / "out")
    assert {name.split("/")[0] for name in found} == {"shards.json", "interleaved", "caption", "text"}
    return found
