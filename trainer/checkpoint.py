"""Checkpoints: their content, asynchronous saving by all processes, and the export of weights."""

import os
import re
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.checkpoint.storage import WriteResult
from torch.distributed.tensor import DTensor
from torch.futures import Future as TorchFuture
from torch.optim import Optimizer

from schemas.display import redacted, shorten
from schemas.errors import IntegrityError, PathError, RecipeError
from schemas.integrity import Sum, check_folder, check_object, seal, sum_folder, sum_of, unseal
from schemas.overrides import validate
from trainer import tokenizer
from trainer.config import Checkpoint, TrainConfig
from trainer.distributed import Processes
from trainer.model.kosmos import Kosmos

STATE = "state.json"
_REMEDY = "copy it again, or remove that folder to use the previous checkpoint"
_NAME = re.compile(r"step-(\d{8,12})")
_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)
_MAY_CHANGE = ("about", "cpu_threads", "checkpoint.", "compute.", "watch.", "optimizer.max_bad_steps",
               "data.rows_per_micro_step", "data.on_missing", "data.workers", "data.prefetch_steps",
               "data.validation_rows", "data.instructions")  # fmt: skip


@dataclass(frozen=True)
class State:
    """The state of a run, without its tensors."""

    step: int
    """Completed steps."""
    num_bad_steps: int
    """How many of the last steps in a row were skipped because their loss or gradient was not finite."""
    config: dict[str, Any]
    loader: dict[str, Any]


def folder_of(output: Path, step: int) -> Path:
    """Return the folder of the checkpoint after `step` steps."""
    return output / f"step-{step:08d}"


def newest_step(output: Path) -> int:
    """Return the step of the newest checkpoint in a folder; -1 if there is none."""
    return max(
        (int(found[1]) for folder in output.glob("step-*") if (found := _NAME.fullmatch(folder.name))), default=-1
    )


def newest(output: Path, processes: Processes) -> State | None:
    """Return the newest checkpoint that the first process finds: processes may see a shared file system differently.

    Raises: as `read_state`.
    """
    found = processes.together(lambda: newest_step(output) if processes.rank == 0 else -1)
    (step,) = processes.largest(found)
    return None if step < 0 else processes.together(lambda: read_state(folder_of(output, int(step))))


def read_state(folder: Path) -> State:
    """Read the state of a checkpoint. Raises: PathError when it is missing; IntegrityError when it is damaged."""
    path = folder / STATE
    try:
        state, _ = unseal(path.read_bytes(), str(path), is_strict=True)
        check_object(state, State, str(path))
    except OSError as error:
        raise PathError(
            f"{path} cannot be read: {error.strerror}; remove that checkpoint to use the previous one"
        ) from error
    except IntegrityError as error:
        raise IntegrityError(f"{error}; remove that checkpoint to use the previous one") from None
    return State(state["step"], state["num_bad_steps"], state["config"], state["loader"])


def check_config(output: Path, saved: State, config: TrainConfig) -> None:
    """Raise RecipeError, naming the keys, when a checkpoint was made with another configuration.

    Keys that affect neither the batches nor the training on them may differ.
    """
    completed = validate(TrainConfig, saved.config, f"the configuration of {output}")  # with keys of newer releases
    there, here = (_flat(redacted(c.model_dump(mode="json"))) for c in (completed, config))
    differ = [k for k in sorted(there.keys() | here.keys()) if there.get(k) != here.get(k)]
    differ = [k for k in differ if not k.startswith(_MAY_CHANGE)]
    if differ:
        differences = "; ".join(f"{k} is {there.get(k)!r} there and {here.get(k)!r} here" for k in differ)
        raise RecipeError(f"{output} was made with another configuration: {differences}; --overwrite removes it")


def check_sums(folder: Path, processes: Processes) -> None:
    """Verify the checksums of a checkpoint's files, divided over the processes.

    Raises: IntegrityError, in every process, when one differs. A checkpoint of an older release has no checksums.
    """
    damaged = check_folder(folder, processes.rank, processes.world)
    if processes.sum(len(damaged))[0]:
        which = ", ".join(damaged) or "a file that another process checked"
        raise IntegrityError(f"{folder} has changed since it was written ({which}); {_REMEDY}")


def load(folder: Path, model: Kosmos, optimizer: Optimizer, processes: Processes) -> None:
    """Read a checkpoint's tensors into a model and its optimizer, sharded over any number of processes.

    Raises: IntegrityError when they are damaged, have other shapes or are not finite.
    """
    named = tensors(model, optimizer)
    processes.together(lambda: check_files(folder))
    processes.together(lambda: read_tensors(folder, named))
    processes.together(lambda: check_finite(named, folder))
    set_model_state_dict(model, _part(named, "model."))
    rates_and_betas = get_optimizer_state_dict(model, optimizer, options=_FLAT)
    set_optimizer_state_dict(model, optimizer, rates_and_betas | _part(named, "optimizer."), options=_FLAT)


def check_files(folder: Path) -> None:
    """Read the headers of a folder's safetensors files, which give the length of each file.

    Raises: IntegrityError that names the first damaged one.
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
    """Read tensors in place from a folder's files, by all processes together or by this one alone.

    Raises: IntegrityError when the files do not hold them.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # no process group is used on purpose
            load_tensors(named, storage_reader=HuggingFaceStorageReader(os.fspath(folder)), no_dist=alone)
    except (Exception, CheckpointException) as error:  # damaged files make the reader raise any exception
        cause = next(iter(error.failures.values()))[0] if isinstance(error, CheckpointException) else error
        raise IntegrityError(
            f"the tensors in {folder} are damaged or not of its configuration: {shorten(cause)}"
        ) from error


def check_finite(named: Mapping[str, Any], source: Path) -> None:
    """Raise IntegrityError that names the first tensor in which this process finds NaN or an infinity."""
    for name, tensor in named.items():
        local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        if local.is_floating_point() and not (finite := local.isfinite()).all():
            num_bad = int((~finite).sum())
            found = f"{num_bad} of {local.numel()} numbers of {name} are NaN or infinite"
            raise IntegrityError(f"{source}: {found}; use an earlier checkpoint")


def tensors(model: Kosmos, optimizer: Optimizer) -> dict[str, Any]:
    """Return every tensor by name. Rates and betas follow from the configuration and the step."""
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


_SUMS = ".sums-"  # checksums of one process's files, until all processes have written theirs


class Saver(AbstractContextManager["Saver"]):
    """Saves one checkpoint at a time: a save, and the end of the context, wait for the save before."""

    def __init__(self, output: Path, config: Checkpoint, processes: Processes) -> None:
        self._output, self._config, self._processes = output, config, processes
        gpu = processes.device.type == "cuda"
        self._stager = DefaultStager(
            StagingOptions(
                use_pinned_memory=gpu, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=gpu
            )
        )
        self._pending: Future[Any] | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self._processes.together(self.wait)
        else:
            with suppress(Exception):  # report the error that ended the run
                self.wait()
        self._stager.close()

    def save(self, state: State, model: Kosmos, optimizer: Optimizer) -> None:
        """Copy the state and the tensors and write them, in the background if the configuration is asynchronous.

        Raises: PathError when this checkpoint or the previous one cannot be written.
        """
        self._processes.together(self.wait)
        partial = self._output / f".{folder_of(self._output, state.step).name}"
        self._processes.together(lambda: self._make(partial) if self._processes.rank == 0 else None)
        saving = async_save(
            tensors(model, optimizer),
            storage_writer=Writer(partial, folder_of(self._output, state.step), state, self._config.keep),
            process_group=self._processes.background,
            async_stager=self._stager,
        )
        assert isinstance(saving, Future)  # async_save returns after the copy is made
        self._pending = saving
        if not self._config.asynchronous:
            self._processes.together(self.wait)

    def _make(self, partial: Path) -> None:
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        except OSError as error:
            raise PathError(f"cannot save to {self._output}: {error}; earlier checkpoints are kept") from error

    def wait(self) -> None:
        """Wait until the pending checkpoint is complete.

        Raises: PathError when it cannot be written.
        """
        saving, self._pending = self._pending, None
        if saving is None:
            return
        try:
            saving.result()
        except CheckpointException as failed:
            error, _ = next(iter(failed.failures.values()))
            if not isinstance(error, OSError):
                raise
            raise PathError(f"cannot save to {self._output}: {error}; earlier checkpoints are kept") from failed


class Writer(HuggingFaceStorageWriter):
    """Writes safetensors, one file for each process; `finish` runs on the first process after all have written."""

    def __init__(self, partial: Path, target: Path, state: State, keep: int) -> None:
        super().__init__(str(partial), save_distributed=True)
        self._partial, self._target, self._state, self._keep = partial, target, state, keep

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> TorchFuture[list[WriteResult]]:
        """Write this process's tensors and the checksums of their files, which are still in the page cache."""
        written = super().write_data(plan, planner)
        names = sorted({result.storage_data.relative_path for result in written.wait()})
        sums = {}
        for name in names:
            with (self._partial / name).open("rb") as file:
                sums[name] = sum_of(file)
        if names:
            (self._partial / f"{_SUMS}{names[0]}.json").write_bytes(seal(sums))
        return written

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        super().finish(metadata, results)
        state = {**asdict(self._state), "config": redacted(self._state.config)}
        (self._partial / STATE).write_bytes(seal(state))
        sums: dict[str, Sum] = {}
        for path in self._partial.glob(f"{_SUMS}*"):
            sums |= unseal(path.read_bytes())[0]
            path.unlink()
        sum_folder(self._partial, sums)
        shutil.rmtree(self._target, ignore_errors=True)
        _sync(self._partial / STATE, self._partial)
        self._partial.rename(self._target)
        _sync(self._target.parent)
        for old in sorted(self._target.parent.glob("step-*"))[: -self._keep]:
            shutil.rmtree(old)


def _sync(*paths: Path) -> None:
    """Flush files, or the entries of folders, to disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def export(folder: Path, model: Kosmos, config: TrainConfig, tokenizer_folder: str, processes: Processes) -> None:
    """Gather the weights on the first process and write `folder` atomically.

    `model.safetensors` holds float32 tensors by the names of `Kosmos`. Load `config.yaml` with trainer.config.load, and
    `tokenizer/` with trainer.tokenizer.load.

    Raises: PathError when it cannot be written.
    """
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if processes.rank != 0:
        return
    partial = folder.with_name(f".{folder.name}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        save_file(
            {name: w.contiguous() for name, w in weights.items() if isinstance(w, torch.Tensor)},
            partial / "model.safetensors",
        )
        (partial / "config.yaml").write_text(yaml.safe_dump(redacted(config.model_dump(mode="json")), sort_keys=False))
        tokenizer.copy(tokenizer_folder, os.fspath(partial / "tokenizer"))
        sum_folder(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except (OSError, SafetensorError) as error:
        raise PathError(f"cannot write the weights to {folder}: {error}; the same command writes them again") from error
