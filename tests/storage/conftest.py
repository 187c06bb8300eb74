"""Fixtures of storage tests: an S3 server with the archives of a small web, and runs of it on disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ondisk import SETTINGS, OnDisk
from servers import BUCKET, S3, s3_server
from webs import Web

from tests.jobs.runs import sums, weft


@pytest.fixture(scope="session")
def on_disk(small_web: Web, tmp_path_factory: pytest.TempPathFactory) -> OnDisk:
    output = tmp_path_factory.mktemp("on-disk") / "out"
    common = ["run", *SETTINGS, "--set", f"fetch.proxy={small_web.proxy}", "--output", str(output)]
    found = []
    for archives in (small_web.archives[:-1], small_web.archives):
        done = weft(*common, *archives)
        assert done.returncode == 0, done.stderr[-3_000:]
        found.append(sums(output))
    assert found[0] != found[1]
    return OnDisk(output, *found)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An empty bucket of an S3 server."""
    folder = tmp_path_factory.mktemp("s3")
    with s3_server(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def crawl_in_s3(s3: S3, small_web: Web) -> list[str]:
    """The addresses of the small web's archives in the bucket."""
    for path in small_web.archives:
        s3.fs.pipe_file(f"{BUCKET}/crawl/{Path(path).name}", Path(path).read_bytes())
    return [s3.url("crawl", Path(path).name) for path in small_web.archives]
