"""Worker processes: each holds a copy of the source and draws the turns of the streams that are its own.

A worker is started as a program of its own, not forked: a process that trains has threads and a GPU's context. It
shares nothing but a socket, and ends when that is closed, however the process that trains may have ended. Signals that
are meant for the run (Ctrl-C, Slurm's and torchrun's SIGTERM reach the whole group) it leaves to that process.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

from schemas.errors import WeftError
from trainer.data.streams import RowSource, SampledRow

_PATIENCE_SECONDS = 5  # for a worker to end by itself
_ROOT = Path(__file__).parents[2]


class Workers:
    """Rows as `source` would draw them, made ahead by processes: at most `ahead` turns of each corpus.

    `turns` tells the next turn of each corpus. Close it, or its processes stay until this one ends.
    """

    def __init__(self, source: RowSource, num: int, turns: Mapping[str, int], ahead: Mapping[str, int]) -> None:
        self._ahead, self._asked = ahead, dict(turns)
        self._arrived: dict[tuple[str, int], SampledRow] = {}
        self._connections: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        for _ in range(num):
            ours, theirs = Pipe()
            command = [sys.executable, "-m", "trainer.data.workers", str(theirs.fileno())]
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), *sys.path])),
                "PYTHONSAFEPATH": "1",  # nothing of the working directory is imported
                "OMP_NUM_THREADS": "1",
            }
            with theirs:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment
                )
            self._connections.append(ours)
            self._processes.append(process)
        for number, connection in enumerate(self._connections):
            self._tell(connection, (source, number, num))
        for corpus, turn in turns.items():
            self._ask(corpus, turn + ahead[corpus])

    def take(self, corpus: str, turn: int) -> SampledRow:
        """Return what a turn gave; the turns of a corpus are taken one after the other.

        Raises: what `Source.take` raises; WeftError when a worker has died.
        """
        if self._asked[corpus] <= turn + self._ahead[corpus] // 2:
            self._ask(corpus, turn + self._ahead[corpus])
        while (corpus, turn) not in self._arrived:
            for connection in wait(self._connections):
                self._receive(self._connections.index(connection))  # type: ignore[arg-type]
        return self._arrived.pop((corpus, turn))

    def close(self) -> None:
        """End the processes. May be called from another thread than `take`, which then raises WeftError."""
        for process in self._processes:
            process.kill()  # it holds nothing that could be lost
        for process in self._processes:
            process.wait(_PATIENCE_SECONDS)

    def disconnect(self) -> None:
        """Close the sockets, when nobody is in `take` any more."""
        for connection in self._connections:
            connection.close()

    def _ask(self, corpus: str, end: int) -> None:
        """Have all turns before `end` drawn: few requests, so that neither side ever waits for room to send one."""
        for connection in self._connections:
            self._tell(connection, (corpus, self._asked[corpus], end))
        self._asked[corpus] = end

    def _tell(self, connection: Connection, message: object) -> None:
        try:
            connection.send(message)
        except OSError:
            self._lost(self._connections.index(connection))

    def _receive(self, number: int) -> None:
        try:
            message = self._connections[number].recv()
        except (EOFError, OSError):
            self._lost(number)
        if isinstance(message, Exception):
            raise message
        corpus, turn, drawn = message
        self._arrived[corpus, turn] = drawn

    def _lost(self, number: int) -> None:
        process = self._processes[number]
        status = process.wait(_PATIENCE_SECONDS)
        raise WeftError(f"loader worker {process.pid} died (status {status}); was it killed for want of memory?")


def work(connection: Connection) -> None:
    """Draw what is asked for, until the socket is closed."""
    source, number, num = connection.recv()
    while True:
        corpus, first, end = connection.recv()
        for turn in range(first, end):
            if turn % source.num_streams(corpus) % num == number:
                connection.send((corpus, turn, source.take(corpus, turn)))


def main() -> None:
    """Be a worker, on the socket whose number is the argument."""
    for meant_for_the_run in (signal.SIGINT, signal.SIGTERM):
        signal.signal(meant_for_the_run, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    try:
        work(connection)
    except (EOFError, ConnectionError):
        pass  # the run is over
    except WeftError as error:
        connection.send(error)
    except Exception:
        connection.send(RuntimeError(f"in a loader worker:\n{traceback.format_exc()}"))


if __name__ == "__main__":
    main()
