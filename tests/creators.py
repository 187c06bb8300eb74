"""Several writers that create the same file of a store at once."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.io.store import Store

_CREATE = (
    "import sys; from pipeline.io.store import Store\n"
    "store = Store(sys.argv[1]); store.has(store.at('b')); print('ready', flush=True); sys.stdin.readline()\n"
    "print(store.create(store.at(sys.argv[2]), sys.argv[3].encode() * int(sys.argv[4])))"
)


def create_by_threads(store: Store, path: str, bodies: Sequence[bytes]) -> list[bool]:
    """Create a file by a thread for each body, all at once; return what Store.create answers each."""
    barrier = threading.Barrier(len(bodies), timeout=120)

    def create(body: bytes) -> bool:
        barrier.wait()
        return store.create(path, body)

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(create, bodies))


def create_by_processes(store: Store, name: str, letters: str, num_bytes: int) -> list[str]:
    """Create a file by a process for each letter, filled with it; return what each prints: 'True' or 'False'."""
    command = [sys.executable, "-c", _CREATE, store.root, name]
    writers = [
        subprocess.Popen([*command, letter, str(num_bytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for letter in letters
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    return [writer.communicate(timeout=200)[0].strip() for writer in writers]
