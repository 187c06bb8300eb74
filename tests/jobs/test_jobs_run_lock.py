"""The run lock: a second run on one output fails immediately and names the first; a dead run holds no lock."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from pipeline.io import run_lock
from pipeline.io.run_lock import lock_run
from pipeline.io.store import Store
from schemas.errors import PathError

HOLD = """
import sys, time
from pipeline.io.run_lock import lock_run
from pipeline.io.store import Store
with lock_run(Store(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holding(output: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(output)], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_second_run_fails_until_the_first_has_ended(tmp_path: Path, end: signal.Signals) -> None:
    output = tmp_path / "out"
    process = holding(output)
    try:
        with (
            pytest.raises(PathError, match=f"process {process.pid} on .*, since 20.*another --output"),
            lock_run(Store(str(output))),
        ):
            pass
    finally:
        os.kill(process.pid, end)
        process.wait(120)
    assert output.exists() == (end == signal.SIGKILL)
    with lock_run(Store(str(output))):
        pass


def test_the_command_fails_with_one_line(tmp_path: Path) -> None:
    from runs import weft

    archive = tmp_path / "a.warc"
    archive.write_text("WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n")
    with lock_run(Store(str(tmp_path / "out"))):
        done = weft("extract", "-r", "everything", "-o", str(tmp_path / "out"), str(archive))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert f"process {os.getpid()}" in done.stderr


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(ZeroDivisionError), lock_run(store):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_lock_in_an_object_store_is_held_by_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(run_lock, "STALE_SECONDS", 0.5)
    store = Store(f"memory://{uuid.uuid4().hex}")
    with lock_run(store):
        time.sleep(0.7)  # without a beat it would be stale
        with pytest.raises(PathError, match="is being written by process"), lock_run(store):
            pass
    assert store.fs.find(store.path) == []


def test_a_run_without_heartbeat_loses_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "STALE_SECONDS", 0.1)
    store = Store(f"memory://{uuid.uuid4().hex}")
    store.write_json(store.at(run_lock.CLAIM, "000001.json"), {**run_lock._holder(), "beat": time.time() - 1})
    with lock_run(store):
        assert [name.rsplit("/", 1)[-1] for name in store.fs.find(store.at(run_lock.CLAIM))] == ["000002.json"]


def test_a_holder_that_ended_on_this_machine_is_dead() -> None:
    store = Store(f"memory://lock-{uuid.uuid4().hex}")
    ended = subprocess.Popen(["true"])
    ended.wait(120)
    path, holder = store.at(run_lock.CLAIM, "000001.json"), run_lock._holder()
    for elsewhere in ({"process": ended.pid, "processes": "another boot pid:[1]"}, {"process": os.getpid()}):
        store.write_json(path, {**holder, **elsewhere})
        with pytest.raises(PathError, match="is being written by process"), lock_run(store):
            pass
    store.write_json(path, {**holder, "process": ended.pid})
    with lock_run(store):
        assert not store.fs.exists(path)


def test_a_run_that_lost_the_lock_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.05)
    store = Store(f"memory://{uuid.uuid4().hex}")
    with pytest.raises(PathError, match=r"took .* over"), lock_run(store):
        store.write_json(store.at(run_lock.CLAIM, "000002.json"), run_lock._holder())
        for _ in range(100):  # the interrupt comes between two steps of Python
            time.sleep(0.05)


def test_the_lock_holds_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["weft", "run", "--set", "fetch.proxy=http://user:s3cret@h:1", "\x1b[2J"])
    with lock_run(Store(str(tmp_path / "out"))):
        assert "s3cret" not in (tmp_path / "out" / f"{run_lock.CLAIM}.json").read_text()
        with pytest.raises(PathError, match=r"http://\*\*\*@h:1"), lock_run(Store(str(tmp_path / "out"))):
            pass
