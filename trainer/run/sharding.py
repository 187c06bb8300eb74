"""Spread the model over the processes, and say how its blocks are computed: compiled, recomputed, in bf16."""

from functools import partial

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

from schemas.errors import RecipeError
from trainer.config import TrainConfig
from trainer.config.training import Compute
from trainer.model.kosmos import Kosmos
from trainer.run.processes import Processes


def shard(model: Kosmos, processes: Processes, config: TrainConfig) -> None:
    """Spread the model by FSDP2: each decoder block by itself, the eye, and the rest.

    Gradients are added up, not averaged: the loss is divided by the count of targets of all processes already.
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
    """Raise RecipeError unless `world` processes can be shared out over `compute.replicas`."""
    if world % config.compute.replicas:
        raise RecipeError(f"compute.replicas is {config.compute.replicas}, which does not divide {world} processes")


def reduce_over_replicas(model: Kosmos, now: bool) -> None:
    """Say whether the next backward pass adds gradients up over replicas: the last of a step does it for all.

    Within a replica every backward pass does, so that a process holds the gradients of its own shard alone.
    """
    assert isinstance(model, FSDPModule)
    model.set_requires_all_reduce(now)


def _mesh(processes: Processes, replicas: int) -> DeviceMesh:
    """Return a mesh of one dimension for one replica, else (replicas, processes that share one of them)."""
    if replicas == 1:
        return init_device_mesh(processes.device.type, (processes.world,))
    shape = (replicas, processes.world // replicas)
    return init_device_mesh(processes.device.type, shape, mesh_dim_names=("replicate", "shard"))


def _prepare(block: torch.nn.Module, compute: Compute) -> None:
    """Replace a block's forward by one that is compiled, or computed again in the backward pass.

    Its forward alone, not the block: FSDP's hooks then stay outside, and the names of the weights as they are.
    """
    if compute.compile:
        block.forward = torch.compile(block.forward)
    if compute.activation_checkpointing == "blocks":
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
