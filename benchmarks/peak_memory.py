"""The peak memory of a process."""

import os
import resource
from pathlib import Path


def peak_bytes(pid: int) -> int:
    """Return the peak of a running process."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def peak_memory_bytes() -> int:
    """Return the peak of this process or of its largest child. Children count once they have been waited for."""
    # not getrusage for this process: it remembers the peak of the one that started it
    return max(peak_bytes(os.getpid()), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
