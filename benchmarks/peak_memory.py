"""How much memory this process, or one of its children, has held at most."""

import resource
from pathlib import Path


def peak_memory_bytes() -> int:
    """Return the peak of the largest process. Children count once they have been waited for."""
    # not getrusage for this process: it remembers the peak of the one that started it
    status = Path("/proc/self/status").read_text("utf-8")
    own = int(status.partition("VmHWM:")[2].split()[0])
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024
