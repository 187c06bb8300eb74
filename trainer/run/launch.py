"""Start a module in several processes of this machine, by torchrun's own launcher, and report their end in one line."""

import logging
import os
import signal
import sys
from collections.abc import Sequence

from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def launch(module: str, arguments: Sequence[str], num_processes: int) -> int:
    """Run `python -m MODULE ARGUMENTS` in processes that torch.distributed joins; return the exit status.

    The status is that of the first process that failed, 128 and the number of a signal that ended it, else 0. What a
    process has to say it prints by itself: torchrun's own account of a failure is left out. Where the caller
    handles SIGINT and SIGTERM by `interruptible`, the processes then get SIGTERM, and SIGKILL 30 s later.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun sets it, with a warning
    given = ["--standalone", f"--nproc-per-node={num_processes}", "--signals-to-handle=SIGHUP,SIGQUIT"]
    options = torchrun.parse_args([*given, "-m", module, *arguments])  # type: ignore[no-untyped-call]
    logging.disable(logging.ERROR)
    try:
        torchrun.run(options)  # type: ignore[no-untyped-call]
    except SignalException as ended:
        return 128 + int(ended.sigval)
    except ChildFailedError as failed:
        rank, failure = failed.get_first_failure()
        if failure.exitcode >= 0:
            return int(failure.exitcode)
        name = signal.Signals(-failure.exitcode).name
        print(f"error: process {rank} was ended by {name}; the same command goes on from here", file=sys.stderr)
        return 128 - int(failure.exitcode)
    finally:
        logging.disable(logging.NOTSET)
    return 0
