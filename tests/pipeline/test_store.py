"""Files that are there whole or not at all, whoever else writes them."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.io.store import NewFile, Store
from schemas.errors import PathError
from tests.creators import create_by_processes, create_by_threads

NUM_WRITERS = 16
BODY_BYTES = 200_000


def bodies() -> list[bytes]:
    return [bytes([number]) * BODY_BYTES for number in range(NUM_WRITERS)]


def test_of_many_threads_one_creates_a_file(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for attempt in range(5):
        path = store.at("below", f"{attempt}.bin")
        won = create_by_threads(store, path, bodies())
        assert won.count(True) == 1
        assert Path(path).read_bytes() == bodies()[won.index(True)]
        assert not store.create(path, b"late")
        assert store.create(path, bodies()[won.index(True)]), "its own file: a repeated request"
    assert len(list((tmp_path / "below").iterdir())) == 5  # and no draft


def test_of_many_processes_one_creates_a_file(tmp_path: Path) -> None:
    won = create_by_processes(Store(str(tmp_path)), "a.bin", "abcd", 100_000)
    assert sorted(won) == ["False", "False", "False", "True"]
    assert (tmp_path / "a.bin").read_text() == "abcd"[won.index("True")] * 100_000
    assert list(tmp_path.iterdir()) == [tmp_path / "a.bin"]


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    store, path = Store(str(tmp_path)), str(tmp_path / "a.bin")
    barrier = threading.Barrier(NUM_WRITERS, timeout=120)

    def write(body: bytes) -> bytes:
        barrier.wait()
        store.write(path, body)
        return Path(path).read_bytes()  # somebody's, and whole

    with ThreadPoolExecutor(NUM_WRITERS) as pool:
        for _ in range(5):
            assert set(pool.map(write, bodies())) <= set(bodies())
    assert list(tmp_path.iterdir()) == [tmp_path / "a.bin"]


def test_a_file_has_its_checksum(tmp_path: Path) -> None:
    store, path = Store(str(tmp_path)), str(tmp_path / "below" / "a.bin")
    file = NewFile(store, path)
    for part in (b"a" * 70_000, b"", memoryview(b"bc")):
        file.write(part)  # type: ignore[arg-type]
    assert not Path(path).exists() and file.tell() == 70_002
    file.publish()
    data = Path(path).read_bytes()
    assert file.sum == {"num_bytes": 70_002, "sha256": hashlib.sha256(data).hexdigest()}
    other = NewFile(store, path)
    other.write(b"x")
    other.discard()
    assert Path(path).read_bytes() == data == b"a" * 70_000 + b"bc"
    assert list(Path(path).parent.iterdir()) == [Path(path)]


def test_a_store_that_lets_two_create_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(self: Store, path: str, data: bytes) -> bool:
        self.write(path, data)
        return True

    Store(str(tmp_path / "new")).check_writable()
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(Store, "create", create)
    with pytest.raises(PathError, match="the store let two writers create the same file"):
        Store(str(tmp_path)).check_writable()
    assert list(tmp_path.iterdir()) == []


def test_an_object_store_creates_a_file_once() -> None:
    store = Store("memory://test-store")
    assert store.create(store.at("a.bin"), b"first")
    assert not store.create(store.at("a.bin"), b"second")
    assert store.fs.cat_file(store.at("a.bin")) == b"first"


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store = Store(str(tmp_path))
    for write in (store.write, store.create):
        with pytest.raises(OSError, match="no space"):
            write(store.at("a.bin"), b"a")
    assert list(tmp_path.iterdir()) == []


def test_drafts_are_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = ["pages/a.parquet", "pages/_commits/a.json", "shards/caption/caption-00000.tar", "draft-x", "_manifest.json"]
    drafts = ["pages/_draft-1-a.parquet", "shards/caption/_draft-caption-00001.tar", "_draft-2-b.json",
              "documents/_temporary/0/part.parquet"]  # fmt: skip
    for name in (*kept, *drafts):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    Store(str(tmp_path)).remove_drafts()
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == set(kept)
    assert not (tmp_path / "documents" / "_temporary").exists()
    Store(str(tmp_path / "nothing")).remove_drafts()
