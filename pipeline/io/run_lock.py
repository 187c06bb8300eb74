"""The run lock: only one run at a time writes an output; a second one gets an error that names the holder.

On a file system it is an OS lock, which is released when its process ends. An object store has no locks: there it is a
numbered file, created exclusively, that its holder rewrites every few seconds as a heartbeat. The highest number holds
the lock; if its heartbeat is too old, or it was a process of this machine that has ended, the next number is created.
"""

import fcntl
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import uuid
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from pipeline.io.store import Store
from schemas.display import redact
from schemas.errors import PathError
from schemas.program import Interrupted, interruptible

CLAIM = "_claim"
BEAT_SECONDS = 20.0
STALE_SECONDS = 120.0  # age of a dead holder's heartbeat; the hosts' clocks must differ by less


@contextmanager
def lock_run(store: Store) -> Iterator[None]:
    """Hold the run lock of an output in the block; SIGTERM ends the block like SystemExit.

    Raises: PathError when another process holds it, or took it over because this one's heartbeat was too old.
    """
    with _terminable(), _locked(store) if store.local else _beating(store):
        yield


def _holder() -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "processes": _process_table(),
        "command": redact(" ".join(sys.argv))[:300],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "beat": time.time(),
    }


def _process_table() -> str:
    """Return what identifies the processes that this one sees: the machine's boot and the namespace; '' if unknown."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_dead(holder: dict[str, Any]) -> bool:
    """Return whether a holder's heartbeat is too old, or its process has ended where this process can see it."""
    if time.time() - holder["beat"] >= STALE_SECONDS:
        return True
    table = _process_table()
    return table != "" and holder.get("processes") == table and not Path(f"/proc/{holder['process']}").exists()


def _refuse(store: Store, data: bytes) -> NoReturn:
    try:
        holder = json.loads(data)
        name = "process {process} on {host}, since {since}: {command}".format_map(holder)
    except (ValueError, KeyError, AttributeError):  # it has just started and not yet written its data
        name = "another process"
    raise PathError(f"{store.root} is being written by {name}. Wait for it, end it, or choose another --output")


@contextmanager
def _locked(store: Store) -> Iterator[None]:
    path, existed = store.at(f"{CLAIM}.json"), os.path.isdir(store.path)  # noqa: PTH112
    os.makedirs(store.path, exist_ok=True)  # noqa: PTH103
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            data = os.read(descriptor, 10_000)
            os.close(descriptor)
            _refuse(store, data)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):  # noqa: PTH116
                break
        os.close(descriptor)  # its holder removed it between our open and our lock
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(_holder()).encode())
        yield
    finally:
        os.unlink(path)  # noqa: PTH108
        os.close(descriptor)
        if not existed:
            with suppress(OSError):  # not empty
                os.rmdir(store.path)  # noqa: PTH106


@contextmanager
def _beating(store: Store) -> Iterator[None]:
    holder, number = _holder(), _acquire(store)
    path, done, lost = _numbered(store, number), threading.Event(), threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECONDS):
            with suppress(OSError):  # the store may be temporarily unavailable
                if store.has(_numbered(store, number + 1)):
                    lost.set()
                    interrupt_main()
                    return
                store.write_json(path, {**holder, "beat": time.time()})

    store.write_json(path, holder)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if lost.is_set():
            raise PathError(f"another run took {store.root} over: this one's heartbeat was too old") from None
        raise
    finally:
        done.set()
        thread.join()
        with suppress(FileNotFoundError):
            store.fs.rm_file(path)


def _acquire(store: Store) -> int:
    """Create the file of the next number, unless the highest number's holder is alive; return the number."""
    folder = store.at(CLAIM)
    names = [name for name in store.fs.find(folder) if re.fullmatch(r"\d{6}\.json", name.rsplit("/", 1)[-1])]
    last = max((int(name.rsplit("/", 1)[-1].removesuffix(".json")) for name in names), default=0)
    if last:
        with suppress(FileNotFoundError, ValueError, KeyError):
            data = store.read(_numbered(store, last))
            if not _is_dead(json.loads(data)):
                _refuse(store, data)
    if not store.create(_numbered(store, last + 1), json.dumps(_holder()).encode()):
        _refuse(store, store.read(_numbered(store, last + 1)))
    for name in names:
        with suppress(FileNotFoundError):
            store.fs.rm_file(name)
    return last + 1


def _numbered(store: Store, number: int) -> str:
    return store.at(CLAIM, f"{number:06d}.json")


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind the stack and end the process with its status, unless it is already handled."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    try:
        with interruptible([signal.SIGTERM]):
            yield
    except Interrupted as interrupted:
        sys.exit(interrupted.status)
