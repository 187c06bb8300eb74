"""Save checkpoints while training goes on: every process writes its own part, and a rename makes the whole count.

Tensors are first copied to memory of the machine, which holds training up; a thread then writes the copy to a hidden
folder, `.step-00000040`. When all processes have written theirs the first renames it and removes the oldest.
"""

import os
import shutil
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future as TorchFuture
from torch.optim import Optimizer

from schemas.errors import PathError
from schemas.sums import Sum, seal, sum_folder, sum_of, unseal
from trainer.config.training import Checkpoint
from trainer.model.kosmos import Kosmos
from trainer.run.checkpoint import State, folder_of, tensors, write_state
from trainer.run.processes import Processes

_SUMS = ".sums-"  # of one process, until all have written theirs


class Saver(AbstractContextManager["Saver"]):
    """Saves one checkpoint at a time: the next waits for the last, and leaving waits for it too."""

    def __init__(self, output: Path, config: Checkpoint, processes: Processes) -> None:
        self._output, self._config, self._processes = output, config, processes
        gpu = processes.device.type == "cuda"
        self._stager = DefaultStager(
            StagingOptions(
                use_pinned_memory=gpu, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=gpu
            )
        )
        self._under_way: Future[Any] | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self._processes.together(self.wait)
        else:
            with suppress(Exception):  # what ended the run says more
                self.wait()
        self._stager.close()

    def save(self, state: State, model: Kosmos, optimizer: Optimizer) -> None:
        """Copy what is to be saved and write it, in the background if the configuration says so.

        Raises: PathError when this or the last checkpoint cannot be written.
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
        assert isinstance(saving, Future)  # the copy was made before async_save returned
        self._under_way = saving
        if not self._config.asynchronous:
            self._processes.together(self.wait)

    def _make(self, partial: Path) -> None:
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        except OSError as error:
            raise PathError(f"cannot save to {self._output}: {error}; the checkpoints before stay") from error

    def wait(self) -> None:
        """Wait until the checkpoint that is being written counts.

        Raises: PathError when it cannot be written.
        """
        saving, self._under_way = self._under_way, None
        if saving is None:
            return
        try:
            saving.result()
        except CheckpointException as failed:
            error, _ = next(iter(failed.failures.values()))
            if not isinstance(error, OSError):
                raise
            raise PathError(f"cannot save to {self._output}: {error}; the checkpoints before stay") from failed


class Writer(HuggingFaceStorageWriter):
    """Writes safetensors, each process its own; `finish` runs on the first process, after all have written."""

    def __init__(self, partial: Path, target: Path, state: State, keep: int) -> None:
        super().__init__(str(partial), save_distributed=True)
        self._partial, self._target, self._state, self._keep = partial, target, state, keep

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> TorchFuture[list[WriteResult]]:
        """Write this process' tensors, and the sums of their files, which it has just written and reads fastest."""
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
        write_state(self._partial, self._state)
        sums: dict[str, Sum] = {}
        for path in self._partial.glob(f"{_SUMS}*"):
            sums |= unseal(path.read_bytes())[0]
            path.unlink()
        sum_folder(self._partial, sums)
        shutil.rmtree(self._target, ignore_errors=True)
        _sync(self._partial / "state.json", self._partial)
        self._partial.rename(self._target)
        _sync(self._target.parent)
        for old in sorted(self._target.parent.glob("step-*"))[: -self._keep]:
            shutil.rmtree(old)


def _sync(*paths: Path) -> None:
    """Make sure that files, or the names in folders, outlast the machine."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
