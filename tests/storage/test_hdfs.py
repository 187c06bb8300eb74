"""HDFS: files are there whole or not at all, of many creators one wins, and a run is the same as on disk."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hadoop import Crawl, Hadoop, shards

from pipeline.io.run_lock import CLAIM, lock_run
from pipeline.io.store import NewFile, Store
from pipeline.io.tables import PartWriter
from schemas.errors import PathError
from schemas.tables import REJECTIONS
from tests.creators import create_by_processes, create_by_threads
from tests.jobs.runs import running, wait_for, weft

pytest_plugins = ("hadoop_fixtures",)
pytestmark = pytest.mark.slow

NUM_WRITERS = 8
BODY_BYTES = 3_000_000  # several packets of HDFS


def bodies() -> list[bytes]:
    return [bytes([number]) * BODY_BYTES for number in range(NUM_WRITERS)]


@pytest.fixture
def store(hadoop: Hadoop, request: pytest.FixtureRequest) -> Store:
    """A folder of the test's own."""
    return Store(f"{hadoop.url}/{request.node.name}/out")


def files(store: Store) -> list[str]:
    """Return the paths of all files of a store, below its root."""
    return sorted(path.removeprefix(f"{store.path}/") for path in store.fs.find(store.path))


def test_a_folder_can_be_written(store: Store) -> None:
    store.check_writable()
    assert files(store) == []


def test_of_many_threads_one_creates_a_file(store: Store) -> None:
    for attempt in range(3):
        path = store.at("below", f"{attempt}.bin")
        won = create_by_threads(store, path, bodies())
        assert won.count(True) == 1
        assert store.fs.cat_file(path) == bodies()[won.index(True)]
        assert not store.create(path, b"late")
    assert files(store) == [f"below/{attempt}.bin" for attempt in range(3)]  # and no draft


def test_of_two_processes_one_creates_a_file(store: Store) -> None:
    won = create_by_processes(store, "a.bin", "ab", 1_000_000)
    assert sorted(won) == ["False", "True"]
    assert store.fs.cat_file(store.at("a.bin")) == b"ab"[won.index("True") :][:1] * 1_000_000
    assert files(store) == ["a.bin"]


def test_readers_see_whole_files(store: Store) -> None:
    path, done, seen = store.at("a.bin"), threading.Event(), []

    def read() -> None:
        while not done.is_set():
            with suppress(FileNotFoundError):
                seen.append(hashlib.sha256(store.fs.cat_file(path)).digest())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda body: store.write(path, body), bodies()))
    finally:
        done.set()
        reader.join(60)
    assert seen and set(seen) <= {hashlib.sha256(body).digest() for body in bodies()}
    assert files(store) == ["a.bin"]


def test_documents_and_parts(store: Store) -> None:
    assert (store.documents("pages", "_commits"), store.parts("pages"), store.has(store.at("a.json"))) == (
        [],
        [],
        False,
    )
    for name in ("pages/_commits/b.json", "pages/_commits/a.json", "a.json"):
        store.write_json(store.at(name), {"name": name})
    for name in ("pages/a.parquet", "pages/_commits/b.parquet"):
        store.write(store.at(name), b"x")
    assert store.read_json(store.at("a.json")) == {"name": "a.json"}
    assert store.documents("pages", "_commits") == ["pages/_commits/a.json", "pages/_commits/b.json"]
    assert store.parts("pages") == ["pages/a.parquet"] and store.has(store.at("a.json"))
    with pytest.raises(FileNotFoundError):
        store.read_json(store.at("b.json"))
    store.write(store.at("pages", "_draft-1-a.parquet"), b"x")
    store.remove_drafts()
    store.remove("pages", "_commits")
    store.remove("pages", "_commits")
    assert files(store) == ["a.json", "pages/a.parquet"]


def test_a_writer_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), PartWriter(store, REJECTIONS, store.at("rejections", "a.parquet")):
        raise ZeroDivisionError
    file = NewFile(store, store.at("shards", "a.tar"))
    file.write(bytes(BODY_BYTES))
    file.discard()
    assert files(store) == []


def test_a_second_run_is_refused(store: Store) -> None:
    with lock_run(store), pytest.raises(PathError, match="is being written by process"), lock_run(Store(store.root)):
        pass
    assert files(store) == []


def test_a_run_is_the_same_as_on_disk(hadoop: Hadoop, crawl: Crawl) -> None:
    store = Store(f"{hadoop.url}/run/out")
    arguments = ["run", "--master", "local[2]", *crawl.arguments(store.root)]
    with running(Path("unused"), arguments) as run:
        wait_for(lambda: bool(store.documents("_config")), run.process)
        refused = weft(*arguments)
        assert run.end() == 0, run.log()
    assert refused.returncode == 2, refused.stderr
    (line,) = refused.stderr.splitlines()
    assert f"is being written by process {run.process.pid} on" in line
    assert shards(store) == crawl.reference
    assert not store.fs.exists(store.at(CLAIM)) or not store.fs.find(store.at(CLAIM))
    for command in (["stats", store.root], ["stats", "--funnel", store.root], ["verify", store.root]):
        done = weft(*command)
        assert (done.returncode, done.stderr) == (0, ""), command
