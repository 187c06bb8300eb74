"""A hard limit of time and memory for one call: the work is done in a child process, which can be ended at any point.

A signal's handler runs between two steps of Python, so it cannot interrupt libxml2, libjpeg or a regular expression; a
process can be killed. The limit of time is one of processor time, which the kernel counts and enforces (ITIMER_PROF),
so that the load of the machine does not decide. Wall time has a far longer limit, against a child that waits for ever.
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
WALL_FACTOR = 60  # how many times the limit of processor time a call may take on a busy machine
_GRACE_SECONDS = 1.0  # after the parent's limit, for a child whose parent is gone


@dataclass(frozen=True)
class WorkerLost:
    """A call that gave no result: it met a limit, or failed by an exception or by the death of its process."""

    cause: Literal["cpu", "wall", "memory", "failure"]  # wall: the machine's fault, so another try may succeed
    detail: str


class Sandbox:
    """Calls a function in a child process, which is forked on entering, kept, and replaced when it has died.

    Use as a context manager: no child outlives it. Nor does one outlive the parent: it ends when the parent's end of
    the socket closes or, in the midst of a call, by an alarm of its own. PR_SET_PDEATHSIG would not do: it fires when
    the thread that forked ends. A max_cpu_seconds or max_memory_bytes of None is no bound; max_wall_seconds is
    WALL_FACTOR times max_cpu_seconds where it is not given.

    A guard may be the function of another: its child is then the child's child. It must tell of what it lost in other
    words than Lost, for the outer guard would take a loss of memory for its own, and end its child.
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
                raise ValueError("a guard needs a limit of time")
            max_wall_seconds = WALL_FACTOR * max_cpu_seconds
        self.function, self.max_memory_bytes = function, max_memory_bytes
        self.max_cpu_seconds, self.max_wall_seconds = max_cpu_seconds, max_wall_seconds
        self.quiet = quiet  # whether nothing may be said to standard error, where C libraries complain
        self.pid = 0  # 0 while there is no child
        self.num_calls = 0  # of this child

    def __call__(self, *arguments: object) -> Any:
        """Return what the function returns, or why it returned nothing."""
        result = self._call(arguments)
        if self.num_calls > 1 and _ran_out(result):
            self.close()  # what earlier calls left behind must not decide: again, in a fresh child
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
        return WorkerLost("wall", f"not done after {self.max_wall_seconds:g} s, on a machine too busy or in a wait")

    def _death(self, status: int) -> WorkerLost:
        if not os.WIFSIGNALED(status):
            return WorkerLost("failure", f"the process ended with status {os.waitstatus_to_exitcode(status)}")
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            return self._late()
        if number == signal.SIGPROF and self.max_cpu_seconds is not None:
            return WorkerLost("cpu", f"took more than {self.max_cpu_seconds:g} s of processor time")
        return WorkerLost("failure", f"the process was ended by {signal.Signals(number).name}")

    def _start(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.num_calls = 0
        self.pid = os.fork()
        if self.pid == 0:
            _serve(theirs, self)
        theirs.close()

    def close(self, kill: bool = True) -> int:
        """End the child, if there is one; return its status."""
        if not self.pid:
            return 0
        self.socket.close()
        if kill:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        status = 0
        with suppress(ChildProcessError):  # a parent that ignores SIGCHLD never learns it
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


def _serve(link: socket.socket, guard: Sandbox) -> NoReturn:
    """Answer calls until the parent is gone. Nothing of the parent's may run here: neither handlers nor atexit."""
    try:
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPROF):
            signal.signal(number, signal.SIG_DFL)
        _close_all_but(link.fileno(), guard.quiet)
        if guard.max_memory_bytes is not None:
            _bound_memory(guard.max_memory_bytes)
        with guard.function if isinstance(guard.function, Sandbox) else nullcontext():
            while True:
                arguments = _receive(link, None)
                signal.setitimer(signal.ITIMER_REAL, guard.max_wall_seconds + _GRACE_SECONDS)
                signal.setitimer(signal.ITIMER_PROF, guard.max_cpu_seconds or 0)
                answer = _answer(guard.function, arguments)
                signal.setitimer(signal.ITIMER_PROF, 0)
                link.sendall(answer)
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        os._exit(0)


def _answer(function: Callable[..., Any], arguments: tuple[object, ...]) -> bytes:
    try:
        return _packed(function(*arguments))
    except MemoryError:
        return _packed(WorkerLost("memory", "needed more than its bound of memory"))
    except Exception as error:  # what comes from the web may hold anything, and nothing may end the task
        return _packed(WorkerLost("failure", describe(error)))


def _close_all_but(kept: int, quiet: bool) -> None:
    """Let go of the parent's files and sockets, whose other ends wait for the last copy to close."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    if quiet:
        os.dup2(nothing, 2)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _bound_memory(more_bytes: int) -> None:
    """Let this process take so much more memory than it has; only Linux tells how much that is."""
    status = Path("/proc/self/status")
    if not status.exists():
        return
    used = int(status.read_text().partition("VmData:")[2].split()[0]) * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = used + more_bytes if hard == resource.RLIM_INFINITY else min(used + more_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


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
        taken = link.recv_into(view)
        if not taken:
            raise EOFError
        view = view[taken:]
    return data


def _wait(link: socket.socket, deadline: float | None) -> None:
    """Have the next operation end at the deadline."""
    if deadline is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        link.settimeout(left)
