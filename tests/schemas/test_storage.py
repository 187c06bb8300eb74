"""Storage that cannot be used is one error with the remedy, before anything is read or written."""

import sys
from pathlib import Path

import pytest

from pipeline.io.store import Store, open_file
from pipeline.sandbox import Sandbox
from pipeline.warc.inputs import expand
from schemas.errors import MissingError, PathError
from schemas.storage import file_system


def test_local_paths_and_memory(tmp_path: Path) -> None:
    assert file_system(str(tmp_path))[1] == file_system(f"file://{tmp_path}")[1] == str(tmp_path)
    store, path = file_system("memory://x/y")
    store.pipe_file(path, b"data")
    assert open_file("memory://x/y").read() == b"data"


@pytest.mark.parametrize("url", ["gopher://host/x", "s4://bucket/x"])
def test_an_unknown_scheme(url: str) -> None:
    scheme = url.partition(":")[0]
    for use in (file_system, Store, open_file, lambda url: expand([url])):
        with pytest.raises(
            PathError, match=rf"{url}: unknown storage {scheme}://; .* s3://, gs://, abfs:// and hdfs://$"
        ):
            use(url)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("gs://bucket/x", "gcsfs", "gcs"),
        ("abfs://c@a.dfs.core.windows.net/x", "adlfs", "azure"),
        ("az://c/x", "adlfs", "azure"),
    ],
)
def test_a_scheme_without_its_package(url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for use in (file_system, Store, open_file, lambda url: expand([url])):
        with pytest.raises(MissingError, match=rf'needs another package: pip install "weft\[{extra}\]"$'):
            use(url)


def test_hdfs_without_a_host_or_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_CONF_DIR", "HADOOP_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PathError, match=r"write hdfs://HOST:PORT/PATH, or set HADOOP_CONF_DIR to the folder of"):
        file_system("hdfs:///user/me/x")
    _, path = file_system("hdfs://namenode:9000/x")  # connects later
    assert path == "/x"


def test_paths_of_hdfs_are_not_urls() -> None:
    fs, path = file_system("hdfs://NameNode:8020/crawl/a#1?.warc.gz")
    assert (fs.host, fs.port, path) == ("NameNode", 8020, "/crawl/a#1?.warc.gz")
    fs, path = file_system("hdfs://node:8020")
    assert (fs.host, fs.port, path) == ("node", 8020, "/")


def test_a_client_of_hdfs_does_not_block_a_forked_process() -> None:
    """hdfs-native waits for its threads when a client is freed, and a forked process has none."""
    file_system("hdfs://node:8020/x")
    with Sandbox(lambda url: file_system(url)[1], None, None, max_wall_seconds=60) as sandbox:
        assert sandbox("hdfs://node:8020/y") == "/y"
