"""Processes: one or several, on GPUs or CPUs, started by torchrun or by hand."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore, PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from schemas.errors import MissingError, WeftError
from trainer.program import ReportedError

T = TypeVar("T")
_NEW_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"


@dataclass(frozen=True)
class Processes:
    """This process among all that train together."""

    rank: int
    world: int
    device: torch.device
    background: dist.ProcessGroup
    """All processes once more, by gloo: for the thread that saves, whose messages must not mix with the training's."""

    def sum(self, *values: float) -> list[float]:
        """Add numbers up over all processes."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def largest(self, *values: float) -> list[float]:
        """Find the largest of each number over all processes."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def together(self, work: Callable[[], T]) -> T:
        """Do something in all processes; where it fails in one, it fails in all of them, so that none waits.

        Raises: in the first process the WeftError of the first process that has one, in the others ReportedError.
        """
        result: list[T] = []
        error: WeftError | None = None
        try:
            result.append(work())
        except WeftError as raised:
            error = raised
        if self.world == 1:
            if error is not None:
                raise error
            return result[0]
        (failed,) = self.largest(error is not None)
        if not failed:
            return result[0]
        errors: list[WeftError | None] = [None] * self.world
        dist.all_gather_object(errors, error)
        if self.rank != 0:
            raise ReportedError("the first process reports why") from error
        raise next(one for one in errors if one is not None)

    def _reduce(self, values: tuple[float, ...], how: dist.ReduceOp.RedOpType) -> list[float]:
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total, how)
        return total.tolist()


@contextmanager
def join(cpu_threads: int | None = None) -> Iterator[Processes]:
    """Join the other processes: those that torchrun started, or none.

    Raises: MissingError when torchrun, on several nodes, would let them hang after a restart.
    """
    if cpu_threads is not None:
        torch.set_num_threads(cpu_threads)
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    backend = "nccl" if gpu else "gloo"
    if "RANK" in os.environ:
        store, rank, world = _meet()
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, device_id=device if gpu else None)
    else:
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
    try:
        background = dist.new_group(backend="gloo")
        assert isinstance(background, dist.ProcessGroup)  # this process is in it
        yield Processes(dist.get_rank(), dist.get_world_size(), device, background)
    finally:
        dist.destroy_process_group()


def _meet() -> tuple[Store, int, int]:
    """Return the store through which processes find each other, this one's rank, and their number.

    torchrun serves one store for all its restarts, and gloo would wait there for addresses of the dead. On one node the
    count of restarts tells them apart; nodes count each for itself, so there torchrun must serve a new store each time.
    """
    told = os.environ.get
    one_node = told("GROUP_WORLD_SIZE", "1") == "1"
    restarts = told("TORCHELASTIC_USE_AGENT_STORE") == "True" and told("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
    if restarts and not one_node:
        raise MissingError(f"several nodes with --max-restarts need {_NEW_STORE} in the environment of torchrun")
    store, rank, world = next(rendezvous("env://"))
    if one_node:
        store = PrefixStore(f"restart-{told('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    return store, rank, world
