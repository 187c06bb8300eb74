"""Checkpoints: whole or not there at all, written by every process at once, readable by any number of them.

    OUT/step-000040/*.safetensors   model and optimizer, by torch.distributed.checkpoint: no pickle
    OUT/step-000040/state.json      step, configuration, where every stream stands

A checkpoint is written to a hidden folder and renamed when all processes are done.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors
from torch.distributed.checkpoint.state_dict_saver import save as save_tensors
from torch.optim import Optimizer

from schemas.errors import RecipeError
from trainer.config import TrainConfig
from trainer.distributed import Processes
from trainer.model.kosmos import Kosmos

_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was found."""

    folder: Path
    step: int
    config: dict[str, Any]
    loader: dict[str, Any]


def newest(output: Path) -> Saved | None:
    """Find the newest whole checkpoint in a folder."""
    folders = sorted(output.glob("step-*"))
    if not folders:
        return None
    state = json.loads((folders[-1] / "state.json").read_text(encoding="utf-8"))
    return Saved(folders[-1], state["step"], state["config"], state["loader"])


def check_config(saved: Saved, config: TrainConfig) -> None:
    """Raise RecipeError, naming the keys, when a checkpoint was made with another configuration.

    How often it is saved and how many checkpoints stay may change.
    """
    there, here = _flat(saved.config), _flat(config.model_dump(mode="json"))
    differ = [k for k in sorted(there.keys() | here.keys()) if there.get(k) != here.get(k)]
    differ = [k for k in differ if not k.startswith("checkpoint.") and k != "about"]
    if differ:
        differences = "; ".join(f"{k} is {there.get(k)!r} there and {here.get(k)!r} here" for k in differ)
        raise RecipeError(f"{saved.folder.parent} was made with another configuration: {differences}; --overwrite")


def save(
    output: Path,
    step: int,
    model: Kosmos,
    optimizer: Optimizer,
    config: TrainConfig,
    loader: dict[str, Any],
    processes: Processes,
) -> None:
    """Save a checkpoint after `step` steps and remove those that are older than the newest `config.checkpoint.keep`."""
    target, partial = output / f"step-{step:08d}", output / f".step-{step:08d}"
    if processes.rank == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    dist.barrier()
    save_tensors(
        _tensors(model, optimizer), storage_writer=HuggingFaceStorageWriter(str(partial), save_distributed=True)
    )
    if processes.rank == 0:
        state = {"step": step, "config": config.model_dump(mode="json"), "loader": loader}
        (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        for old in sorted(output.glob("step-*"))[: -config.checkpoint.keep]:
            shutil.rmtree(old)
    dist.barrier()


def load(saved: Saved, model: Kosmos, optimizer: Optimizer) -> None:
    """Read a checkpoint's tensors into a model and its optimizer, sharded over any number of processes."""
    tensors = _tensors(model, optimizer)
    load_tensors(tensors, storage_reader=HuggingFaceStorageReader(str(saved.folder)))
    set_model_state_dict(model, _part(tensors, "model."))
    rates_and_betas = get_optimizer_state_dict(model, optimizer, options=_FLAT)
    set_optimizer_state_dict(model, optimizer, rates_and_betas | _part(tensors, "optimizer."), options=_FLAT)


def _tensors(model: Kosmos, optimizer: Optimizer) -> dict[str, Any]:
    """Name every tensor. What else the optimizer knows (rates, betas) follows from the configuration and the step."""
    optimizer_state = get_optimizer_state_dict(model, optimizer, options=_FLAT)
    tensors = {f"model.{k}": v for k, v in get_model_state_dict(model).items()}
    return tensors | {f"optimizer.{k}": v for k, v in optimizer_state.items() if isinstance(v, torch.Tensor)}


def _part(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
