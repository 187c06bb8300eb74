"""Where a worker computes: on the GPU that Spark assigned to its task, else on one that is there, else on the CPU."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from schemas.errors import MissingError

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

CPU = "cpu"
RESOURCE = "gpu"  # as in spark.executor.resource.gpu.amount


def choose(addresses: Sequence[str], num_gpus: int, process: int) -> str:
    """Return the name of a device as torch takes it.

    Args: addresses are those of the GPUs that Spark assigned to the task, empty when it schedules none; num_gpus is
    how many torch sees here; process is the id of this process, by which workers spread over GPUs that Spark does not
    schedule (a local master cannot) and keep theirs for life.
    Raises: MissingError when torch does not see the assigned GPU: a run must not fall back to a CPU unnoticed.
    """
    if addresses:
        if addresses[0] not in map(str, range(num_gpus)):
            raise MissingError(
                f"Spark assigned GPU {addresses[0]}, and torch sees {num_gpus} here: install a torch for CUDA on every "
                "node, and let the discovery script print torch's numbers (docs/cluster.md)"
            )
        return f"cuda:{addresses[0]}"
    return f"cuda:{process % num_gpus}" if num_gpus else CPU


def here() -> str:
    """Choose the device of this task."""
    import torch
    from pyspark import TaskContext

    task = TaskContext.get()
    assigned = task.resources().get(RESOURCE) if task else None
    return choose(assigned.addresses if assigned else (), torch.cuda.device_count(), os.getpid())


def profile(settings: Mapping[str, str]) -> "ResourceProfile | None":
    """Return what a task must have to embed, by Spark's settings: a GPU to itself, where executors have GPUs.

    The tasks of all other steps go on with a core each. None leaves tasks as they are: without GPUs, under a local
    master, which has none to give, and where a person has said what every task gets.
    """
    offered = settings.get(f"spark.executor.resource.{RESOURCE}.amount", "0") != "0"
    settled = f"spark.task.resource.{RESOURCE}.amount" in settings
    if not offered or settled or re.match(r"local(\[|$)", settings["spark.master"]):
        return None
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    return ResourceProfileBuilder().require(TaskResourceRequests().cpus(1).resource(RESOURCE, 1)).build


def num_decoders(device: str, num_cores: int, num_gpus: int) -> int:
    """Return how many threads prepare images beside the forward pass.

    On a CPU one is enough: ViT-B-32 takes its core for forty times as long. A GPU outruns any single
    core, so its process takes its share of them all.
    """
    return 1 if device == CPU else max(1, num_cores // max(1, num_gpus))
