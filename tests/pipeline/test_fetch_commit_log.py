"""The commit log: every answer is there once, after crashes and races, with the part of its image."""

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.fetch_rounds import fence_path
from pipeline.fetch import commit_log as module
from pipeline.fetch.commit_log import CommitLog
from pipeline.fetch.download import FetchAnswer, Results
from pipeline.fetch.scheduler import Address
from pipeline.io.store import Store
from pipeline.io.tables import PartWriter
from pipeline.url import NOWHERE
from schemas.errors import TransientError
from schemas.tables import IMAGES, image_id

STATUSES = ("ok", "http_4xx", "timeout", "moved")
RUN, NEXT_RUN = 1, 2


def answer(number: int, status: str | None = None, body: bytes = b"picture") -> dict[str, Any]:
    """Return an answer; without a status, one that its number gives it."""
    url = f"http://h.example/{number}.jpg"
    status = status or STATUSES[number % len(STATUSES)]
    row = {**dict.fromkeys(IMAGES.schema.names), "image_id": image_id(url), "image_url": url, "status": status}
    if status == "ok":
        row.update(sha256="0", original_bytes=1, phash="0", num_bytes=len(body), bytes=body)
        row.update(dict.fromkeys(("original_width", "original_height", "width", "height"), 1))
    moved = status == "moved"
    return {**row, "location": "http://i.example/" if moved else None, "num_redirects": int(moved), "part": None}


def opened(store: Store, task: str = "0001-01-00000", max_rows: int = 1_000) -> CommitLog:
    journal = CommitLog(store, "answers", "images", task, fence_path("answers", NEXT_RUN), max_rows)
    journal.catch_up()
    return journal


def read(store: Store, part: str) -> list[dict[str, Any]]:
    with store.fs.open(store.at(part), "rb") as file:
        return pq.read_table(file).to_pylist()


def rows(store: Store) -> list[dict[str, Any]]:
    return [row for part in store.parts("answers") for row in read(store, part)]


def check(store: Store, expected: list[dict[str, Any]]) -> None:
    """Check that each answer is there once, and the bytes of each image in the part that it names."""
    found = rows(store)
    assert sorted(row["image_id"] for row in found) == sorted({row["image_id"] for row in expected})
    assert {row["image_id"]: row["status"] for row in found} == {row["image_id"]: row["status"] for row in expected}
    parts = {part: read(store, part) for part in store.parts("images")}
    stored = {(part, row["image_id"]) for part, inside in parts.items() for row in inside}
    named = {(row["part"], row["image_id"]) for row in found if row["status"] == "ok"}
    assert stored >= named
    assert all(row["part"] is None for row in found if row["status"] != "ok")


def test_answers_are_committed_at_their_limit(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    journal = opened(store, max_rows=4)
    for number in range(10):
        journal.add(answer(number))
    assert store.parts("answers") == [f"answers/0001-01-00000-00000{part}.parquet" for part in (0, 1)]
    check(store, [answer(number) for number in range(8)])
    journal.commit()
    check(store, [answer(number) for number in range(10)])
    journal.commit()  # nothing is left, so nothing is written
    assert len(store.parts("answers")) == 3
    images = [row for part in store.parts("images") for row in read(store, part)]
    assert {row["image_id"] for row in images} == {answer(number)["image_id"] for number in (0, 4, 8)}


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 30), ("MAX_SECONDS", 0)])
def test_other_limits_commit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(module, limit, value)
    store = Store(str(tmp_path))
    opened(store).add(answer(0, "ok", bytes(30)))
    check(store, [answer(0)])


def test_an_attempt_continues_another(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    dead = opened(store, max_rows=2)
    for number in range(5):
        dead.add(answer(number))  # the last one is not committed
    journal = opened(store)
    assert journal.answered == {answer(number)["image_id"]: answer(number)["status"] for number in range(4)}
    journal.add(answer(4))
    journal.commit()
    check(store, [answer(number) for number in range(5)])
    assert opened(store, task="0001-02-00000").answered == {}  # another task's are not its own


def test_uncommitted_files_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))
    journal = opened(store)
    journal.add(answer(0, "ok"))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "create", lambda *arguments: (_ for _ in ()).throw(OSError("killed here")))
        with pytest.raises(OSError, match="killed"):
            journal.commit()
    assert (len(store.parts("images")), rows(store), opened(store).answered) == (1, [], {})
    again = opened(store)
    again.add(answer(0, "ok"))
    again.commit()
    check(store, [answer(0, "ok")])
    [row] = rows(store)
    assert len(store.parts("images")) == 2 and row["part"] in store.parts("images")


def test_the_losing_part_is_removed_and_its_other_answers_are_kept(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    slow, slower, fast = opened(store), opened(store), opened(store)
    for number in (0, 1, 4):
        slow.add(answer(number))
    slower.add(answer(5, "timeout"))
    for number in (4, 5):
        fast.add(answer(number))
    fast.commit()
    slow.commit()
    slower.commit()
    check(store, [answer(number) for number in (0, 1, 4, 5)])
    assert len(store.parts("images")) == 2  # one of each, and none of the first try
    committed = {answer(number)["image_id"]: answer(number)["status"] for number in (0, 1, 4, 5)}
    assert slow.answered == slower.answered == committed


def test_a_later_run_stops_an_older_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    journal = opened(store)
    journal.add(answer(0))
    store.create(store.at(fence_path("answers", RUN)), b"")  # its own beginning stops nobody
    journal.commit()
    journal.add(answer(1))
    store.create(store.at(fence_path("answers", NEXT_RUN)), b"")
    with pytest.raises(TransientError, match="later run"):
        journal.commit()
    check(store, [answer(0)])


def test_it_is_stopped_during_a_write_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(PartWriter):
        def __exit__(self, *how: Any) -> None:
            super().__exit__(*how)
            self.store.create(self.store.at(fence_path("answers", NEXT_RUN)), b"")

    monkeypatch.setattr(module, "PartWriter", Slow)
    store = Store(str(tmp_path))
    journal = opened(store)
    journal.add(answer(0, "ok"))
    with pytest.raises(TransientError, match="later run"):
        journal.commit()
    assert rows(store) == []  # else the later run, which has not seen it, would ask again


def test_bodies_are_always_released(tmp_path: Path) -> None:
    class Broken:
        def decode(self, bodies: list[bytes]) -> list[dict[str, Any]]:
            raise ChildProcessError("the supervisor of the decode worker is lost")

    released: list[FetchAnswer] = []
    answers = [FetchAnswer(Address(str(n), str(n), NOWHERE), "ok") for n in range(3)]
    results = Results(Broken(), opened(Store(str(tmp_path))), released.append)  # type: ignore[arg-type]
    for one in answers:
        results.add(one, b"body")
    with pytest.raises(ChildProcessError):
        results.close()
    assert released == answers


def test_counters_count_committed_answers(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    counted: Counter[str] = Counter()
    first, second = opened(store, "0001-01-00000", 5), opened(store, "0001-01-00001")
    first.count = second.count = counted.update
    for number in range(6):
        first.add(answer(number))
    assert counted == {"ok": 2, "http_4xx": 1, "timeout": 1, "moved": 1}, "five are committed"
    second.add(answer(100))
    first.commit()
    second.commit()
    assert counted == {"ok": 3, "http_4xx": 2, "timeout": 1, "moved": 1}
    first.add(answer(0))  # answered before
    first.commit()
    assert counted.total() == 7


def test_writers_that_race_for_a_task(tmp_path: Path) -> None:
    store, barrier = Store(str(tmp_path)), threading.Barrier(4, timeout=120)

    def attempt(first: int) -> None:
        journal = opened(store, max_rows=3)
        barrier.wait()
        for number in [*range(first, 20), *range(first)]:
            journal.add(answer(number))
        journal.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attempt, (0, 5, 10, 15)))
    check(store, [answer(number) for number in range(20)])


# what happens to one of two attempts at a task: an answer comes, it commits, or it dies and another takes its place
EVENTS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["answer"] * 3 + ["commit", "die"])), max_size=40)


@given(EVENTS, st.integers(1, 4))
def test_any_sequence(events: list[tuple[int, str]], max_rows: int) -> None:
    store = Store(f"memory://{uuid.uuid4().hex}")  # creates as object stores do
    attempts = [opened(store, max_rows=max_rows) for _ in range(2)]
    coming = [list(range(12)), list(range(11, -1, -1))]
    for which, event in events:
        journal = attempts[which]
        if event == "commit":
            journal.commit()
        elif event == "die":
            attempts[which] = opened(store, max_rows=max_rows)
            coming[which] = [n for n in range(12) if answer(n)["image_id"] not in attempts[which].answered]
        elif coming[which]:
            journal.add(answer(coming[which].pop()))
    for journal, numbers in zip(attempts, coming, strict=True):
        for number in numbers:
            journal.add(answer(number))
        journal.commit()
    check(store, [answer(number) for number in range(12)])
    store.remove()
