"""The sandbox: limits of time and memory for one call, whose failures do not affect the caller."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline import sandbox as module
from pipeline.html import extract
from pipeline.html.extract import extract_archive
from pipeline.io.store import Store
from pipeline.sandbox import Sandbox, WorkerLost
from schemas.reasons import RETRIED
from schemas.recipe import Extract
from tests.processes import children, is_alive
from tests.sampleweb.archive import write_response

MAX_SECONDS = 0.5
MAX_MEMORY = 200_000_000


def sleep() -> None:
    time.sleep(60)


def match_for_ever() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def count_for_ever() -> None:
    sum(range(10**12))


def allocate() -> None:
    kept = []
    while True:
        kept.append(bytearray(10_000_000))


def allocate_at_once() -> None:
    bytearray(10_000_000_000)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(3)


def fail() -> None:
    raise ValueError("no such thing")


def recurse() -> None:
    recurse()


def give_what_no_pipe_takes() -> Callable[[], None]:
    return lambda: None


def call(function: Callable[[], object] | int) -> object:
    return function() if callable(function) else function * 2


@pytest.fixture
def guard() -> Iterator[Sandbox]:
    before = children(os.getpid())
    with Sandbox(call, MAX_SECONDS, MAX_MEMORY) as guard:
        yield guard
    assert children(os.getpid()) == before


HARMFUL = [
    (match_for_ever, "cpu", "took more than 0.5 s of CPU time"),
    (count_for_ever, "cpu", "took more than 0.5 s of CPU time"),
    (allocate, "memory", "needed more memory than its limit"),
    (allocate_at_once, "memory", "needed more memory than its limit"),
    (kill_itself, "failure", "the process was ended by SIGKILL"),
    (leave, "failure", "the process ended with status 3"),
    (fail, "failure", "ValueError: no such thing"),
    (recurse, "failure", "RecursionError: "),
    (give_what_no_pipe_takes, "failure", ""),
]


@pytest.mark.parametrize(("function", "cause", "detail"), HARMFUL, ids=lambda v: getattr(v, "__name__", ""))
def test_each_harm_has_its_cause_and_the_next_call_works(function: Callable[[], None], cause: str, detail: str) -> None:
    # only what would never end meets the short limit; the rest must not meet it on a slow machine
    with Sandbox(call, MAX_SECONDS if cause == "cpu" else 60, MAX_MEMORY) as guard:
        assert guard(1) == 2
        found = guard(function)
        assert isinstance(found, WorkerLost)
        assert (found.cause, found.detail.startswith(detail)) == (cause, True), found
        assert guard(3) == 6


def wait_longer_than_its_processor_time() -> str:
    time.sleep(2 * MAX_SECONDS)
    return "done"


def test_waiting_costs_no_cpu_time(guard: Sandbox) -> None:
    assert guard(wait_longer_than_its_processor_time) == "done"


def work_half() -> float:
    """Use slightly more than half of the limit, whatever else runs on the machine."""
    end = time.process_time() + 0.6 * MAX_SECONDS
    while time.process_time() < end:
        pass
    return time.process_time()


def test_the_cpu_time_of_earlier_calls_does_not_count(guard: Sandbox) -> None:
    used = [guard(work_half) for _ in range(4)]
    assert used == sorted(used) and used[-1] > MAX_SECONDS  # all in one child


def test_a_child_that_waits_forever_reaches_the_wall_limit() -> None:
    with Sandbox(call, 60, MAX_MEMORY, max_wall_seconds=0.5) as guard:
        found = guard(sleep)
        assert (
            isinstance(found, WorkerLost) and found.cause == "wall" and found.detail.startswith("not done after 0.5 s")
        )
        assert guard(3) == 6


def test_a_sandbox_needs_a_time_limit() -> None:
    with pytest.raises(ValueError, match="time limit"):
        Sandbox(call, None, None)


def test_one_child_serves_all_calls(guard: Sandbox) -> None:
    assert guard.pid in children(os.getpid())
    assert {guard(os.getpid) for _ in range(3)} == {guard.pid}


def test_the_memory_of_earlier_calls_does_not_count() -> None:
    kept: list[bytearray] = []

    def keep(size: int) -> int:
        kept.append(bytearray(size))
        return len(kept)

    with Sandbox(keep, 5, MAX_MEMORY) as guard:
        assert [guard(80_000_000) for _ in range(4)] == [1, 2, 1, 2]


def test_results_may_be_large(guard: Sandbox) -> None:
    assert guard(give_much) == b"x" * 20_000_000


def give_much() -> bytes:
    return b"x" * 20_000_000


def test_sandboxes_may_be_nested() -> None:
    with Sandbox(Sandbox(call, MAX_SECONDS, MAX_MEMORY), None, None, max_wall_seconds=60) as guard:
        outer, inner = guard.pid, guard(os.getpid)
        assert guard(kill_itself) == WorkerLost("failure", "the process was ended by SIGKILL")
        assert guard(count_for_ever) == WorkerLost("cpu", "took more than 0.5 s of CPU time")
        assert guard.pid == outer and guard(os.getpid) not in (inner, outer, os.getpid())
        last = guard(os.getpid)
        guard.close(kill=False)
    assert not Path(f"/proc/{last}").exists()  # ended and waited for, though its parent ended too


@pytest.mark.parametrize("quiet", [False, True])
def test_only_a_quiet_child_writes_nothing_to_standard_error(quiet: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with Sandbox(partial(os.write, 2), 60, MAX_MEMORY, quiet=quiet) as guard:
        guard(b"a complaint")
    assert capfd.readouterr().err == ("" if quiet else "a complaint")


def test_it_works_in_a_thread(guard: Sandbox) -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(guard(f) for f in (2, count_for_ever, 3)))
    thread.start()
    thread.join(120)
    assert found[0] == 4 and isinstance(found[1], WorkerLost) and found[2] == 6
    assert guard(4) == 8  # the child outlives the thread that forked it


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in the midst of a call"])
def test_the_child_ends_when_its_parent_is_killed(busy: bool) -> None:
    told, tell = os.pipe()
    parent = os.fork()
    if parent == 0:
        guard = Sandbox(call, MAX_SECONDS, MAX_MEMORY)
        os.write(tell, b"%d\n" % guard(os.getpid))
        if busy:
            threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
            guard(count_for_ever)
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(tell)
    child = int(os.read(told, 20))
    os.close(told)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 120
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


TEXT = f"<p>{'A paragraph long enough to be taken for the main text of a page, whoever reads it. ' * 3}</p>"
HOSTILE = {
    "deep": b"<div>" * 100_000 + TEXT.encode(),
    "tables": b"<table><tr><td>" * 20_000 + TEXT.encode(),
    "attributes": b"<p " + b" ".join(b"a%d=1" % n for n in range(1_000_000)) + b">" + TEXT.encode(),
    "open": b"<b><i>" * 20_000 + TEXT.encode(),
    "large": b"<html>" + TEXT.encode() * 180_000,
}


def test_hostile_pages_are_rejections_and_others_are_extracted(tmp_path: Path) -> None:
    bodies: dict[str, bytes] = {}
    for number, (name, body) in enumerate(HOSTILE.items()):
        bodies |= {name: body, f"good{number}": f"<html><body><article>{TEXT}</article></body></html>".encode()}
    with (tmp_path / "a.warc.gz").open("wb") as stream:
        for name, body in bodies.items():
            write_response(stream, f"http://host.example/{name}", "2024-01-01T00:00:00Z", "200 OK",
                           (("Content-Type", "text/html"),), body)  # fmt: skip
    store, before = Store(str(tmp_path / "out")), children(os.getpid())
    commit = extract_archive(str(tmp_path / "a.warc.gz"), store, Extract(max_seconds=3))
    assert children(os.getpid()) == before
    tables = {t: pq.read_table(store.at(commit["files"][t])).to_pylist() for t in ("pages", "rejections")}
    pages = {row["url"].rpartition("/")[2] for row in tables["pages"]}
    rules = {row["url"].rpartition("/")[2]: row["rule"] for row in tables["rejections"]}
    assert pages | rules.keys() == bodies.keys() and not pages & rules.keys()
    assert {name for name in bodies if name.startswith("good")} <= pages
    assert rules["large"] == "TOO_LARGE"
    assert set(rules.values()) <= {"TOO_LARGE", "PAGE_TIMEOUT", "PAGE_MEMORY", "EXTRACTION_FAILED", "NOT_PARSEABLE"}


PAGES = {"plain": f"<html><body><article>{TEXT}</article></body></html>", "odd": f"<p id=odd>{TEXT}"}


def test_a_page_stalled_by_load_is_a_rejection_until_it_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "a.warc.gz").open("wb") as stream:
        for name, body in PAGES.items():
            write_response(stream, f"http://host.example/{name}", "2024-01-01T00:00:00Z", "200 OK",
                           (("Content-Type", "text/html"),), body.encode())  # fmt: skip
    store, archive_path = Store(str(tmp_path / "out")), str(tmp_path / "a.warc.gz")
    read = extract.extract_page

    def starved(body: bytes, *rest: Any) -> Any:
        time.sleep(600 if b"id=odd" in body else 0)
        return read(body, *rest)

    monkeypatch.setattr(extract, "extract_page", starved)
    monkeypatch.setattr(module, "WALL_FACTOR", 1)
    commit = extract_archive(archive_path, store, Extract(max_seconds=2))
    (row,) = pq.read_table(store.at(commit["files"]["rejections"])).to_pylist()
    assert (row["rule"], row["url"]) == ("PAGE_STALLED", "http://host.example/odd")
    assert commit["rejected"] == {"PAGE_STALLED": 1} and commit["counts"]["pages"] == 1
    assert not RETRIED.isdisjoint(commit["rejected"])  # so the step extract reads this archive again

    monkeypatch.undo()
    commit = extract_archive(archive_path, store, Extract(max_seconds=2))
    assert (commit["rejected"], commit["counts"]["pages"]) == ({}, 2)
