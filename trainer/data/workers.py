"""Loader workers: processes that each hold a copy of the row source and sample the rows of some of its streams.

A worker is a new program, not a fork, because the training process has threads and a GPU context. It shares only a
socket with that process, and ends when the socket is closed, however the process ended. It ignores signals to the
process group (Ctrl-C, SIGTERM of Slurm and torchrun): the training process handles them.
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

_TIMEOUT_SECONDS = 5  # for a worker to end
_ROOT = Path(__file__).parents[2]


class Workers:
    """The rows of `source`, prefetched by processes: of each corpus at most `prefetch` rows, from index `first`.

    Without `close`, the processes live until this one ends.
    """

    def __init__(self, source: RowSource, num: int, first: Mapping[str, int], prefetch: Mapping[str, int]) -> None:
        self._prefetch, self._requested = prefetch, dict(first)
        self._received: dict[tuple[str, int], SampledRow] = {}
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
            self._send(connection, (source, number, num))
        for corpus, index in first.items():
            self._request(corpus, index + prefetch[corpus])

    def take(self, corpus: str, index: int) -> SampledRow:
        """Return the row of a corpus at an index; the rows of a corpus must be taken in order.

        Raises: as `RowSource.take`; WeftError when a worker has died.
        """
        if self._requested[corpus] <= index + self._prefetch[corpus] // 2:
            self._request(corpus, index + self._prefetch[corpus])
        while (corpus, index) not in self._received:
            for connection in wait(self._connections):
                self._receive(self._connections.index(connection))  # type: ignore[arg-type]
        return self._received.pop((corpus, index))

    def close(self) -> None:
        """End the processes. May be called from another thread than `take`, which then raises WeftError."""
        for process in self._processes:
            process.kill()  # it has nothing to save
        for process in self._processes:
            process.wait(_TIMEOUT_SECONDS)

    def disconnect(self) -> None:
        """Close the sockets, once no thread is in `take`."""
        for connection in self._connections:
            connection.close()

    def _request(self, corpus: str, end: int) -> None:
        """Request all rows before `end`. There are few requests, so sending one never blocks."""
        for connection in self._connections:
            self._send(connection, (corpus, self._requested[corpus], end))
        self._requested[corpus] = end

    def _send(self, connection: Connection, message: object) -> None:
        try:
            connection.send(message)
        except OSError:
            self._raise_died(self._connections.index(connection))

    def _receive(self, number: int) -> None:
        try:
            message = self._connections[number].recv()
        except (EOFError, OSError):
            self._raise_died(number)
        if isinstance(message, Exception):
            raise message
        corpus, index, row = message
        self._received[corpus, index] = row

    def _raise_died(self, number: int) -> None:
        process = self._processes[number]
        status = process.wait(_TIMEOUT_SECONDS)
        raise WeftError(f"loader worker {process.pid} died (status {status}); it may have run out of memory")


def work(connection: Connection) -> None:
    """Send requested rows of the streams of this worker, until the socket is closed."""
    source, number, num = connection.recv()
    while True:
        corpus, first, end = connection.recv()
        for index in range(first, end):
            if index % source.num_streams(corpus) % num == number:
                connection.send((corpus, index, source.take(corpus, index)))


def main() -> None:
    """Run a worker on the socket whose file descriptor is the argument."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
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
