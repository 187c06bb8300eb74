"""One run at a time writes an output: the first holds a claim on it, and the next is told who holds it.

On a file system the claim is an OS lock, which goes with its process however it dies. An object store has no locks:
there a claim is a numbered file, created by one only, that its holder writes anew every few seconds. The highest
number holds; whose file has been silent for long is taken for dead, and the next number is created over it.
"""

import fcntl
import json
import os
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
from typing import Any, NoReturn

from pipeline.io.store import Store
from schemas.display import redact
from schemas.errors import PathError
from schemas.program import Interrupted, interruptible

CLAIM = "_claim"
BEAT_SECONDS = 20.0
STALE_SECONDS = 120.0  # silence after which a holder is taken for dead; clocks of hosts must agree to less than that


@contextmanager
def lock_run(store: Store) -> Iterator[None]:
    """Hold the claim on an output while the block runs; SIGTERM ends the block as SystemExit does.

    Raises: PathError when another process holds it, or took it over because this one had been silent too long.
    """
    with _terminable(), _locked(store) if store.local else _beating(store):
        yield


def _holder() -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "command": redact(" ".join(sys.argv))[:300],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "beat": time.time(),
    }


def _refuse(store: Store, data: bytes) -> NoReturn:
    try:
        holder = json.loads(data)
        told = "process {process} on {host}, since {since}: {command}".format_map(holder)
    except (ValueError, KeyError, AttributeError):  # it has just begun, and not yet said who it is
        told = "another process"
    raise PathError(f"{store.root} is being written by {told}. Wait for it, or end it, or take another --output")


@contextmanager
def _locked(store: Store) -> Iterator[None]:
    path, was_there = store.at(f"{CLAIM}.json"), os.path.isdir(store.path)  # noqa: PTH112
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
        if not was_there:
            with suppress(OSError):  # not empty: something was written
                os.rmdir(store.path)  # noqa: PTH106


@contextmanager
def _beating(store: Store) -> Iterator[None]:
    me, number = _holder(), _take(store)
    path, done, lost = _numbered(store, number), threading.Event(), threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECONDS):
            with suppress(OSError):  # the store may be away for a while
                if store.fs.exists(_numbered(store, number + 1)):
                    lost.set()
                    interrupt_main()
                    return
                store.write_json(path, {**me, "beat": time.time()})

    store.write_json(path, me)
    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    except KeyboardInterrupt:
        if lost.is_set():
            raise PathError(f"another run took {store.root} over, since this one had been silent too long") from None
        raise
    finally:
        done.set()
        heart.join()
        with suppress(FileNotFoundError):
            store.fs.rm_file(path)


def _take(store: Store) -> int:
    """Create the next number, unless the highest is alive; return it."""
    folder = store.at(CLAIM)
    names = store.fs.find(folder) if store.fs.exists(folder) else []
    last = max((int(name.rsplit("/", 1)[-1].removesuffix(".json")) for name in names), default=0)
    if last:
        with suppress(FileNotFoundError, ValueError, KeyError):
            data = store.fs.cat_file(_numbered(store, last))
            if time.time() - json.loads(data)["beat"] < STALE_SECONDS:
                _refuse(store, data)
    if not store.create(_numbered(store, last + 1), json.dumps(_holder()).encode()):
        _refuse(store, store.fs.cat_file(_numbered(store, last + 1)))
    for name in names:
        with suppress(FileNotFoundError):
            store.fs.rm_file(name)
    return last + 1


def _numbered(store: Store, number: int) -> str:
    return store.at(CLAIM, f"{number:06d}.json")


@contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM unwind the stack, and end the process with its status, where nobody else handles it."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    try:
        with interruptible([signal.SIGTERM]):
            yield
    except Interrupted as interrupted:
        sys.exit(interrupted.status)
