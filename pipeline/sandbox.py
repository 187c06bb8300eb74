"""Hard limits on time and memory for a call, which runs in a child process that can be killed.

A Python signal handler cannot interrupt libxml2, libjpeg or a regular expression; a process can be killed. The time
limit is CPU time, which the kernel counts and enforces (ITIMER_PROF), so that results do not depend on the machine's
load. Wall time has a much longer limit, against a child that waits forever.
"""

import os
import pickle
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

from schemas.display import describe

_LENGTH = struct.Struct("!Q")
WALL_FACTOR = 60  # default wall time limit in units of the CPU time limit, for busy machines
_GRACE_SECONDS = 1.0  # after the parent's limit, for a child whose parent has died


@dataclass(frozen=True)
class WorkerLost:
    """A call without result: it exceeded a limit, raised an exception, or its process died."""

    cause: Literal["cpu", "wall", "memory", "failure"]  # wall: caused by the machine, so a retry may succeed
    detail: str


class Sandbox:
    """Calls a function in a child process, which is forked on entry, reused, and replaced after its death.

    Use as a context manager: no child outlives it. Nor does a child outlive the parent: it ends when the parent's end
    of the socket closes or, during a call, by its own alarm. PR_SET_PDEATHSIG would not work: it fires when the forking
    thread ends. A max_cpu_seconds or max_memory_bytes of None is no limit; max_wall_seconds defaults to WALL_FACTOR
    times max_cpu_seconds. `quiet` discards the child's standard error, where C libraries complain.

    Sandboxes nest: the function of one may be another sandbox. It must not return the inner WorkerLost, since the
    outer sandbox would treat a memory loss as its own and end its child.

    Raises: ValueError without any time limit.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        max_cpu_seconds: float | None,
        max_memory_bytes: int | None,
        quiet: bool = False,
        max_wall_seconds: float | None = None,
    ) -> None:
        if max_wall_seconds is None:
            if max_cpu_seconds is None:
                raise ValueError("a sandbox needs a time limit")
            max_wall_seconds = WALL_FACTOR * max_cpu_seconds
        self.function, self.max_memory_bytes = function, max_memory_bytes
        self.max_cpu_seconds, self.max_wall_seconds = max_cpu_seconds, max_wall_seconds
        self.quiet = quiet
        self.pid = 0  # 0 without a child
        self.num_calls = 0  # of this child

    def __call__(self, *arguments: object) -> Any:
        """Return the function's result, or WorkerLost."""
        result = self._call(arguments)
        if self.num_calls > 1 and _ran_out(result):
            self.close()  # memory left by earlier calls must not matter: retry in a new child
            result = self._call(arguments)
        if _ran_out(result):
            self.close()
        return result

    def _call(self, arguments: tuple[object, ...]) -> Any:
        if not self.pid:
            self._start()
        self.num_calls += 1
        deadline = time.monotonic() + self.max_wall_seconds
        try:
            _send(self.socket, arguments, deadline)
            return _receive(self.socket, deadline)
        except TimeoutError:
            self.close()
            return self._late()
        except (EOFError, ConnectionError):
            return self._death(self.close(kill=False))

    def _late(self) -> WorkerLost:
        return WorkerLost("wall", f"not done after {self.max_wall_seconds:g} s: the machine is busy, or the call waits")

    def _death(self, status: int) -> WorkerLost:
        if not os.WIFSIGNALED(status):
            return WorkerLost("failure", f"the process ended with status {os.waitstatus_to_exitcode(status)}")
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            return self._late()
        if number == signal.SIGPROF and self.max_cpu_seconds is not None:
            return WorkerLost("cpu", f"took more than {self.max_cpu_seconds:g} s of CPU time")
        return WorkerLost("failure", f"the process was ended by {signal.Signals(number).name}")

    def _start(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.num_calls = 0
        self.pid = os.fork()
        if self.pid == 0:
            _serve(theirs, self)
        theirs.close()

    def close(self, kill: bool = True) -> int:
        """End the child, if any; return its wait status."""
        if not self.pid:
            return 0
        self.socket.close()
        if kill:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        status = 0
        with suppress(ChildProcessError):  # the status is not available if the parent ignores SIGCHLD
            _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return status

    def __enter__(self) -> Self:
        if not self.pid:
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ran_out(result: object) -> bool:
    return isinstance(result, WorkerLost) and result.cause == "memory"


def _serve(link: socket.socket, sandbox: Sandbox) -> NoReturn:
    """Serve calls until the parent closes the socket, without running the parent's signal handlers or atexit."""
    try:
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPROF):
            signal.signal(number, signal.SIG_DFL)
        _close_all_except(link.fileno(), sandbox.quiet)
        if sandbox.max_memory_bytes is not None:
            _limit_memory(sandbox.max_memory_bytes)
        with sandbox.function if isinstance(sandbox.function, Sandbox) else nullcontext():
            while True:
                arguments = _receive(link, None)
                signal.setitimer(signal.ITIMER_REAL, sandbox.max_wall_seconds + _GRACE_SECONDS)
                signal.setitimer(signal.ITIMER_PROF, sandbox.max_cpu_seconds or 0)
                result = _run(sandbox.function, arguments)
                signal.setitimer(signal.ITIMER_PROF, 0)
                link.sendall(result)
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        os._exit(0)


def _run(function: Callable[..., Any], arguments: tuple[object, ...]) -> bytes:
    try:
        return _packed(function(*arguments))
    except MemoryError:
        return _packed(WorkerLost("memory", "needed more memory than its limit"))
    except Exception as error:  # untrusted web data may cause any error, and none may end the task
        return _packed(WorkerLost("failure", describe(error)))


def _close_all_except(kept: int, quiet: bool) -> None:
    """Close the parent's files and sockets, whose peers wait for the last copy to close."""
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 0)
    os.dup2(devnull, 1)
    if quiet:
        os.dup2(devnull, 2)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _limit_memory(more_bytes: int) -> None:
    """Limit the memory that this process may allocate in addition; on Linux only, which reports the current size."""
    status = Path("/proc/self/status")
    if not status.exists():
        return
    used = int(status.read_text().partition("VmData:")[2].split()[0]) * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used + more_bytes if hard == resource.RLIM_INFINITY else min(used + more_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _packed(value: object) -> bytes:
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def _send(link: socket.socket, value: object, deadline: float) -> None:
    _wait(link, deadline)
    link.sendall(_packed(value))


def _receive(link: socket.socket, deadline: float | None) -> Any:
    (size,) = _LENGTH.unpack(_read(link, _LENGTH.size, deadline))
    return pickle.loads(_read(link, size, deadline))


def _read(link: socket.socket, size: int, deadline: float | None) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        _wait(link, deadline)
        num_read = link.recv_into(view)
        if not num_read:
            raise EOFError
        view = view[num_read:]
    return data


def _wait(link: socket.socket, deadline: float | None) -> None:
    """Set the timeout of the next operation to the deadline. Raises: TimeoutError after the deadline."""
    if deadline is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        link.settimeout(left)
