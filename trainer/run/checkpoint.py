"""Checkpoints: what is in one, which is the newest, and how it is taken up by any number of processes.

    OUT/step-00000040/*.safetensors   model and optimizer, by torch.distributed.checkpoint: no pickle
    OUT/step-00000040/state.json      step, configuration, where every stream stands

Only a whole one has that name (trainer/run/saving.py). The schedule follows from the step, and chance from the seed,
the step and the process, so that neither needs to be kept.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors
from torch.optim import Optimizer

from schemas.errors import RecipeError
from schemas.overrides import validate
from schemas.secrets import redacted
from trainer.config import TrainConfig
from trainer.model.kosmos import Kosmos
from trainer.run.processes import Processes

STATE = "state.json"
_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)
_MAY_CHANGE = ("about", "cpu_threads", "checkpoint.", "compute.", "watch.", "optimizer.max_bad_steps",
               "data.rows_per_micro_step", "data.on_missing", "data.workers", "data.prefetch_steps",
               "data.validation_rows", "data.instructions")  # fmt: skip


@dataclass(frozen=True)
class State:
    """What a checkpoint holds beside tensors."""

    step: int
    """Steps done."""
    num_bad_steps: int
    """Of them, the last in a row that were skipped, their loss or gradient not being finite."""
    config: dict[str, Any]
    loader: dict[str, Any]


def folder_of(output: Path, step: int) -> Path:
    """Return the folder of the checkpoint after `step` steps."""
    return output / f"step-{step:08d}"


def newest(output: Path, processes: Processes) -> State | None:
    """Find the newest checkpoint in a folder, as the first process sees it: file systems may tell each another."""
    steps = [int(folder.name.removeprefix("step-")) for folder in output.glob("step-*")] if processes.rank == 0 else []
    (step,) = processes.largest(max(steps, default=-1))
    return None if step < 0 else State(**json.loads((folder_of(output, int(step)) / STATE).read_text("utf-8")))


def write_state(folder: Path, state: State) -> None:
    """Write what `newest` reads."""
    (folder / STATE).write_text(json.dumps({**asdict(state), "config": redacted(state.config)}), encoding="utf-8")


def check_config(output: Path, saved: State, config: TrainConfig) -> None:
    """Raise RecipeError, naming the keys, when a checkpoint was made with another configuration.

    What changes neither the batches nor what is learnt from them may differ.
    """
    known = validate(TrainConfig, saved.config, f"the configuration of {output}")  # of an older release, completed
    there, here = (_flat(redacted(c.model_dump(mode="json"))) for c in (known, config))
    differ = [k for k in sorted(there.keys() | here.keys()) if there.get(k) != here.get(k)]
    differ = [k for k in differ if not k.startswith(_MAY_CHANGE)]
    if differ:
        differences = "; ".join(f"{k} is {there.get(k)!r} there and {here.get(k)!r} here" for k in differ)
        raise RecipeError(f"{output} was made with another configuration: {differences}; --overwrite")


def load(folder: Path, model: Kosmos, optimizer: Optimizer) -> None:
    """Read a checkpoint's tensors into a model and its optimizer, sharded over any number of processes."""
    found = tensors(model, optimizer)
    load_tensors(found, storage_reader=HuggingFaceStorageReader(str(folder)))
    set_model_state_dict(model, _part(found, "model."))
    rates_and_betas = get_optimizer_state_dict(model, optimizer, options=_FLAT)
    set_optimizer_state_dict(model, optimizer, rates_and_betas | _part(found, "optimizer."), options=_FLAT)


def tensors(model: Kosmos, optimizer: Optimizer) -> dict[str, Any]:
    """Name every tensor. What else the optimizer knows (rates, betas) follows from the configuration and the step."""
    optimizer_state = get_optimizer_state_dict(model, optimizer, options=_FLAT)
    named = {f"model.{k}": v for k, v in get_model_state_dict(model).items()}
    return named | {f"optimizer.{k}": v for k, v in optimizer_state.items() if isinstance(v, torch.Tensor)}


def _part(named: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): t for name, t in named.items() if name.startswith(prefix)}


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
