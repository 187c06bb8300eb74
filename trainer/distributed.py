"""Distributed training: the process group, launching processes, and sharding the model."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore, PrefixStore, Store
from torch.distributed import run as torchrun
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.rendezvous import rendezvous
from torch.utils.checkpoint import checkpoint

from schemas.errors import MissingError, RecipeError, WeftError
from trainer.config import Compute, TrainConfig
from trainer.model.kosmos import Kosmos
from trainer.program import ReportedError

T = TypeVar("T")
_NEW_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"


@dataclass(frozen=True)
class Processes:
    """This process in the process group."""

    rank: int
    world: int
    device: torch.device
    background: dist.ProcessGroup
    """A gloo group of all processes for the thread that saves: its messages must not mix with those of training."""

    def sum(self, *values: float) -> list[float]:
        """Sum each number over all processes."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def largest(self, *values: float) -> list[float]:
        """Return the maximum of each number over all processes."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def together(self, work: Callable[[], T]) -> T:
        """Call `work` in all processes; if it fails in one, raise in all of them, so that no process waits for another.

        Raises: in the first process the first WeftError by rank, in the others ReportedError.
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
def init(cpu_threads: int | None = None) -> Iterator[Processes]:
    """Initialise the process group of torchrun's processes, or of this process alone.

    Raises: MissingError when torchrun on several nodes would hang after a restart.
    """
    if cpu_threads is not None:
        torch.set_num_threads(cpu_threads)
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    backend = "nccl" if gpu else "gloo"
    if "RANK" in os.environ:
        store, rank, world = _rendezvous()
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, device_id=device if gpu else None)
    else:
        dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
    try:
        background = dist.new_group(backend="gloo")
        assert isinstance(background, dist.ProcessGroup)  # this process is in it
        yield Processes(dist.get_rank(), dist.get_world_size(), device, background)
    finally:
        dist.destroy_process_group()


def _rendezvous() -> tuple[Store, int, int]:
    """Return the rendezvous store, the rank and the world size.

    torchrun uses one store for all its restarts, in which gloo would wait for addresses of ended processes. On one node
    the restart count separates them. Nodes count separately, so several nodes need a new store for each restart.
    """
    variable = os.environ.get
    one_node = variable("GROUP_WORLD_SIZE", "1") == "1"
    restarts = variable("TORCHELASTIC_USE_AGENT_STORE") == "True" and variable("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
    if restarts and not one_node:
        raise MissingError(f"several nodes with --max-restarts need {_NEW_STORE} in the environment of torchrun")
    store, rank, world = next(rendezvous("env://"))
    if one_node:
        store = PrefixStore(f"restart-{variable('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    return store, rank, world


def launch(module: str, arguments: Sequence[str], num_processes: int) -> int:
    """Run `python -m MODULE ARGUMENTS` in several processes by torchrun; return the exit status.

    It is the status of the first process that failed, 128 + the number of a signal that ended it, else 0. Processes
    print their own errors; torchrun's report is disabled. If the caller handles SIGINT and SIGTERM by `interruptible`,
    the processes then get SIGTERM, and SIGKILL after 30 s.
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
        print(f"error: process {rank} was ended by {name}; run the same command to continue", file=sys.stderr)
        return 128 - int(failure.exitcode)
    finally:
        logging.disable(logging.NOTSET)
    return 0


def shard(model: Kosmos, processes: Processes, config: TrainConfig) -> None:
    """Shard the model by FSDP2: each decoder block, the vision encoder, and the rest.

    Gradients are summed, not averaged, since the loss is already divided by the number of targets of all processes.
    """
    mesh = _mesh(processes, config.compute.replicas)
    bf16 = config.precision == "bf16"
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
    for block in model.decoder.blocks:
        _prepare(block, config.compute)
    for module in (*model.decoder.blocks, model.vision, model):
        fully_shard(module, mesh=mesh, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)


def check_replicas(config: TrainConfig, world: int) -> None:
    """Raise RecipeError unless `compute.replicas` divides the number of processes."""
    if world % config.compute.replicas:
        raise RecipeError(f"compute.replicas is {config.compute.replicas}, which does not divide {world} processes")


def reduce_over_replicas(model: Kosmos, now: bool) -> None:
    """Set whether the next backward pass sums gradients over replicas; only the last of a step does.

    Within a replica every backward pass sums, so that a process stores the gradients of its own shard only.
    """
    assert isinstance(model, FSDPModule)
    model.set_requires_all_reduce(now)


def _mesh(processes: Processes, replicas: int) -> DeviceMesh:
    """Return a one-dimensional mesh for one replica, else (replicas, processes of a replica)."""
    if replicas == 1:
        return init_device_mesh(processes.device.type, (processes.world,))
    shape = (replicas, processes.world // replicas)
    return init_device_mesh(processes.device.type, shape, mesh_dim_names=("replicate", "shard"))


def _prepare(block: torch.nn.Module, compute: Compute) -> None:
    """Replace a block's forward by a compiled one, or one that is recomputed in the backward pass.

    The block itself is not wrapped, so that FSDP's hooks stay outside and weights keep their names.
    """
    if compute.compile:
        block.forward = torch.compile(block.forward)
    if compute.activation_checkpointing == "blocks":
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
