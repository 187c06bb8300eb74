"""Checkpoints: what is in one, which is the newest, and how it is taken up by any number of processes.

    OUT/step-00000040/*.safetensors   model and optimizer, by torch.distributed.checkpoint: no pickle
    OUT/step-00000040/state.json      step, configuration, where every stream stands

Only a whole one has that name (trainer/run/saving.py). The schedule follows from the step, and chance from the seed,
the step and the process, so that neither needs to be kept.
"""

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from schemas.display import shorten
from schemas.errors import IntegrityError, PathError, RecipeError
from schemas.overrides import validate
from schemas.secrets import redacted
from schemas.strict_json import check_object
from schemas.sums import check_folder, seal, unseal
from trainer.config import TrainConfig
from trainer.model.kosmos import Kosmos
from trainer.run.processes import Processes

STATE = "state.json"
_REMEDY = "copy it again, or remove that folder to use the checkpoint before"
_NAME = re.compile(r"step-(\d{8,12})")
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


def newest_step(output: Path) -> int:
    """Return the step of the newest checkpoint in a folder; -1 without one."""
    return max(
        (int(found[1]) for folder in output.glob("step-*") if (found := _NAME.fullmatch(folder.name))), default=-1
    )


def newest(output: Path, processes: Processes) -> State | None:
    """Find the newest checkpoint in a folder, as the first process sees it: file systems may answer each differently.

    Raises: as `read_state`.
    """
    seen = processes.together(lambda: newest_step(output) if processes.rank == 0 else -1)
    (step,) = processes.largest(seen)
    return None if step < 0 else processes.together(lambda: read_state(folder_of(output, int(step))))


def read_state(folder: Path) -> State:
    """Read what a checkpoint holds beside tensors. Raises: PathError when it is missing; IntegrityError if damaged."""
    path = folder / STATE
    try:
        state, _ = unseal(path.read_bytes(), str(path), is_strict=True)
        check_object(state, State, str(path))
    except OSError as error:
        raise PathError(
            f"{path} cannot be read: {error.strerror}; remove that checkpoint to use the one before"
        ) from error
    except IntegrityError as error:
        raise IntegrityError(f"{error}; remove that checkpoint to use the one before") from None
    return State(state["step"], state["num_bad_steps"], state["config"], state["loader"])


def write_state(folder: Path, state: State) -> None:
    """Write what `newest` reads."""
    (folder / STATE).write_bytes(seal({**asdict(state), "config": redacted(state.config)}))


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


def check_sums(folder: Path, processes: Processes) -> None:
    """Compare a checkpoint's files with their sums, each process a part of them.

    Raises: IntegrityError, in every process, when one differs; a checkpoint of an older release has no sums.
    """
    damaged = check_folder(folder, processes.rank, processes.world)
    if processes.sum(len(damaged))[0]:
        which = ", ".join(damaged) or "a file that another process looked at"
        raise IntegrityError(f"{folder} is not as it was written ({which}); {_REMEDY}")


def load(folder: Path, model: Kosmos, optimizer: Optimizer, processes: Processes) -> None:
    """Read a checkpoint's tensors into a model and its optimizer, sharded over any number of processes.

    Raises: IntegrityError when they are damaged, of other sizes or not finite.
    """
    found = tensors(model, optimizer)
    processes.together(lambda: check_files(folder))
    processes.together(lambda: read_tensors(folder, found))
    processes.together(lambda: check_finite(found, folder))
    set_model_state_dict(model, _part(found, "model."))
    rates_and_betas = get_optimizer_state_dict(model, optimizer, options=_FLAT)
    set_optimizer_state_dict(model, optimizer, rates_and_betas | _part(found, "optimizer."), options=_FLAT)


def check_files(folder: Path) -> None:
    """Read the headers of a folder's safetensors files, which say how long each file is.

    Raises: IntegrityError that names the first which is damaged.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise IntegrityError(f"{folder} holds no *.safetensors; {_REMEDY}")
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError, ValueError) as error:
            raise IntegrityError(f"{path} is damaged: {error}; {_REMEDY}") from error


def read_tensors(folder: Path, named: dict[str, Any], alone: bool = False) -> None:
    """Fill tensors from a folder's files: those of all processes together, or for this one alone.

    Raises: IntegrityError when the files do not hold them.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # that it reads alone, which is meant
            load_tensors(named, storage_reader=HuggingFaceStorageReader(os.fspath(folder)), no_dist=alone)
    except (Exception, CheckpointException) as error:  # what its files say may lead the reader anywhere
        cause = next(iter(error.failures.values()))[0] if isinstance(error, CheckpointException) else error
        raise IntegrityError(
            f"the tensors in {folder} are damaged or not of its configuration: {shorten(cause)}"
        ) from error


def check_finite(named: Mapping[str, Any], place: Path) -> None:
    """Raise IntegrityError that names the first tensor in which this process finds NaN or an infinity."""
    for name, tensor in named.items():
        local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        if local.is_floating_point() and not (finite := local.isfinite()).all():
            num_bad = int((~finite).sum())
            told = f"{num_bad} of {local.numel()} numbers of {name} are NaN or infinite"
            raise IntegrityError(f"{place}: {told}; use an earlier checkpoint")


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
