"""Fixtures of tests on Hadoop: the daemons, and a small web in HDFS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hadoop import Crawl, Hadoop, hdfs, yarn
from ondisk import OnDisk
from webs import Web

from pipeline.io.store import Store


@pytest.fixture(scope="session")
def hadoop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    """HDFS."""
    with hdfs(tmp_path_factory.mktemp("hadoop")) as hadoop:
        yield hadoop


@pytest.fixture(scope="session")
def cluster(hadoop: Hadoop) -> Iterator[Hadoop]:
    """HDFS and YARN."""
    with yarn(hadoop):
        yield hadoop


@pytest.fixture(scope="session")
def crawl(hadoop: Hadoop, small_web: Web, on_disk: OnDisk) -> Crawl:
    """The small web in HDFS."""
    store = Store(f"{hadoop.url}/crawl")
    names = [Path(path).name for path in small_web.archives]
    for name, path in zip(names, small_web.archives, strict=True):
        store.write(store.at(name), Path(path).read_bytes())
    return Crawl(small_web, [f"{store.root}/{name}" for name in names], on_disk.both)
