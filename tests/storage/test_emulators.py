"""GCS and Azure, by emulators: what Python does in an output there, and reads from there.

Spark's connectors for these stores are not run: the emulators have no TLS and no hierarchical namespace.
"""

import hashlib
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import emulators
import pytest
from emulators import BUCKET
from webs import Web

from pipeline.html.extract import extract_archive
from pipeline.io import run_lock
from pipeline.io import store as store_module
from pipeline.io.run_lock import CLAIM, lock_run
from pipeline.io.store import NewFile, Store, open_file, read_commits
from pipeline.io.tables import PartWriter
from pipeline.shards.write import ShardSample, ShardWriter
from pipeline.warc.inputs import expand
from schemas.errors import PathError
from schemas.recipe import Extract
from schemas.shards import TRAIN
from schemas.storage import file_system
from schemas.tables import REJECTIONS
from tests.creators import create_by_processes, create_by_threads
from tests.trainer.shardwriter import text_sample, write_shards
from trainer.data.shards import open_shards

pytestmark = pytest.mark.slow

SERVERS = {"gs": emulators.google, "abfs": emulators.azure}
NUM_WRITERS = 8
BODY_BYTES = 300_000


@pytest.fixture(scope="module", params=list(SERVERS))
def bucket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty bucket."""
    scheme = request.param
    with SERVERS[scheme](tmp_path_factory.mktemp(scheme)) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield f"{scheme}://{BUCKET}"
        file_system(f"{scheme}://{BUCKET}")[0].clear_instance_cache()


@pytest.fixture
def store(bucket: str) -> Store:
    """A folder of the test's own."""
    return Store(f"{bucket}/{uuid.uuid4().hex}/out")


def files(store: Store) -> list[str]:
    """Return the paths of all objects of a store, below its root."""
    return sorted(path.removeprefix(f"{store.path}/") for path in Store(store.root).fs.find(store.path))


def bodies() -> list[bytes]:
    return [bytes([number]) * BODY_BYTES for number in range(NUM_WRITERS)]


def test_a_folder_can_be_written(store: Store) -> None:
    store.check_writable()
    assert files(store) == []


def test_a_bucket_that_does_not_exist(bucket: str) -> None:
    store = Store(f"{bucket}-without/out")
    with pytest.raises(PathError, match=f"^cannot write to {store.root}: ") as caught:
        store.check_writable()
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def test_files(store: Store) -> None:
    assert (store.documents("pages", "_commits"), store.parts("pages"), store.has(store.at("a.json"))) == (
        [],
        [],
        False,
    )
    for name in ("pages/_commits/b.json", "pages/_commits/a.json", "a.json"):
        store.write_json(store.at(name), {"name": name})
    for name in ("pages/a.parquet", "pages/x=1/b.parquet", "pages/_commits/b.parquet"):
        store.write(store.at(name), b"x")
    assert store.read_json(store.at("a.json")) == {"name": "a.json"}
    store.write_json(store.at("a.json"), {"name": "again"})
    assert store.read_json(store.at("a.json")) == {"name": "again"}
    assert store.documents("pages", "_commits") == ["pages/_commits/a.json", "pages/_commits/b.json"]
    assert list(read_commits(store)) == ["a", "b"]
    assert store.parts("pages") == ["pages/a.parquet", "pages/x=1/b.parquet"] and store.has(store.at("a.json"))
    assert store.sum("pages/a.parquet") == {"num_bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    for read in (store.read_json, store.sum):
        with pytest.raises(FileNotFoundError):
            read(store.at("b.json"))
    store.remove("pages", "_commits")
    store.remove("pages", "_commits")
    assert files(store) == ["a.json", "pages/a.parquet", "pages/x=1/b.parquet"]
    store.remove_files(["pages/a.parquet", "pages/x=1/b.parquet"])
    store.remove_files(["pages/a.parquet"])
    assert files(store) == ["a.json"]


def test_of_many_threads_one_creates_a_file(store: Store) -> None:
    for attempt in range(5):
        path = store.at("below", f"{attempt}.bin")
        won = create_by_threads(store, path, bodies())
        assert won.count(True) == 1
        assert store.read(path) == bodies()[won.index(True)]
        assert not store.create(path, b"late")
    assert files(store) == [f"below/{attempt}.bin" for attempt in range(5)]


def test_of_two_processes_one_creates_a_file(store: Store) -> None:
    won = create_by_processes(store, "a.bin", "ab", 1_000_000)
    assert sorted(won) == ["False", "True"]
    assert store.read(store.at("a.bin")) == b"ab"[won.index("True") :][:1] * 1_000_000


def test_readers_see_whole_files(store: Store) -> None:
    path, done, seen = store.at("a.bin"), threading.Event(), []

    def read() -> None:
        while not done.is_set():
            with suppress(FileNotFoundError):
                seen.append(store.read(path))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda body: store.write(path, body), bodies()))
    finally:
        done.set()
        reader.join(60)
    assert seen and set(seen) <= set(bodies())


@pytest.mark.parametrize("megabytes", [0, 3])
def test_a_file_appears_when_it_is_published(store: Store, monkeypatch: pytest.MonkeyPatch, megabytes: int) -> None:
    """Also one of several parts."""
    monkeypatch.setattr(store_module, "UPLOAD_BYTES", 1 << 20)
    part = os.urandom(1 << 20)
    written, dropped = (NewFile(store, store.at("shards", name)) for name in ("a.tar", "b.tar"))
    for file in (written, dropped):
        for _ in range(megabytes):
            file.write(part)
        file.write(b"end")
    assert files(store) == []
    written.publish()
    dropped.discard()
    del dropped
    assert files(store) == ["shards/a.tar"]
    assert store.read(store.at("shards", "a.tar")) == part * megabytes + b"end"
    assert store.sum("shards/a.tar") == written.sum


def test_a_table_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), PartWriter(store, REJECTIONS, store.at("rejections", "a.parquet")):
        raise ZeroDivisionError
    with PartWriter(store, REJECTIONS, store.at("rejections", "b.parquet")) as writer:
        pass
    assert files(store) == ["rejections/b.parquet"]
    assert store.sum("rejections/b.parquet") == writer.sum


def test_a_shard_that_fails_leaves_nothing(store: Store) -> None:
    index: dict[str, Any] = {"key": "a", "language": "en", "host": "a.example", "num_words": 1, "num_characters": 1,
                             "widths": [], "heights": [], "scores": []}  # fmt: skip
    sample = ShardSample("a", [("txt", b"a")], index)
    writers = [ShardWriter(store, "text", TRAIN, number) for number in range(2)]
    for writer in writers:
        writer.add(sample)
    entry = writers[0].close()
    writers[1].discard()
    assert files(store) == ["shards/text/text-00000.index.parquet", "shards/text/text-00000.tar"]
    assert store.sum("shards/text/text-00000.tar") == {name: entry[name] for name in ("num_bytes", "sha256")}


def test_an_archive_is_read(store: Store, small_web: Web, tmp_path: Path) -> None:
    local = small_web.archives[0]
    address = f"{store.root}/crawl/{Path(local).name}"
    store.write(store.at("crawl", Path(local).name), Path(local).read_bytes())
    assert open_file(address).read() == Path(local).read_bytes()
    assert expand([address]) == [address]
    on_disk = Store(str(tmp_path / "out"))
    expected, found = extract_archive(local, on_disk, Extract()), extract_archive(address, store, Extract())
    assert found["counts"] == expected["counts"] and found["counts"]
    assert found["source"]["num_bytes"] == Path(local).stat().st_size
    assert len(store.parts("pages")) == len(on_disk.parts("pages")) == 1


def test_a_second_run_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.2)
    with lock_run(store):
        with (
            pytest.raises(PathError, match=f"is being written by process {os.getpid()} on"),
            lock_run(Store(store.root)),
        ):
            pass
        assert files(store) == [f"{CLAIM}/000001.json"]
    assert files(store) == []


def test_the_trainer_reads_shards(store: Store, tmp_path: Path) -> None:
    samples = [text_sample(f"{number:04d}", f"The mill number {number} grinds.") for number in range(20)]
    folder = write_shards(tmp_path / "shards", {"text": samples}, per_shard=8)
    for path in folder.rglob("*.*"):
        store.write(store.at("shards", *path.relative_to(folder).parts), path.read_bytes())
    read = [list(open_shards(data).corpora["text"].read_all()) for data in (store.root, str(folder))]
    assert read[0] == read[1] and len(read[0]) == 20
