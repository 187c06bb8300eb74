"""Processes as /proc shows them. Any of them may end while it is looked at."""

from contextlib import suppress
from pathlib import Path


def state(pid: int) -> str:
    """Return the state of a process: R running, S sleeping, Z zombie, '' gone."""
    fields = _fields(pid)
    return fields[0] if fields else ""


def is_alive(pid: int) -> bool:
    """Whether a process runs: a zombie has ended."""
    return state(pid) not in ("Z", "")


def children(pid: int) -> set[int]:
    """Return the child processes of a process, whichever of its threads started them; zombies too.

    `/proc/PID/task/*/children` would do with fewer reads, but threads end while they are listed (proc(5) calls it
    reliable only for stopped processes).
    """
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {number for number in numbers if (fields := _fields(number)) and int(fields[1]) == pid}


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may hold spaces: state, parent and so on."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
