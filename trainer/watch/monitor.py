"""The monitor hands what is known of every step to all that show or keep it, on the first process alone."""

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol

from trainer.config import TrainConfig
from trainer.watch.boards import TensorBoard, WeightsAndBiases
from trainer.watch.lines import Lines
from trainer.watch.metrics import StepMetrics
from trainer.watch.progress import ProgressLine


class Watcher(Protocol):
    """Something that shows or keeps metrics."""

    def add(self, metrics: StepMetrics) -> None: ...

    def add_validation(self, step: int, loss: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class Monitor(AbstractContextManager["Monitor"]):
    """All watchers that a configuration asks for; none where `shown` is false."""

    def __init__(self, output: Path, first_step: int, config: TrainConfig, shown: bool) -> None:
        self._watchers: list[Watcher] = []
        if not shown:
            return
        if config.watch.tensorboard:
            self._watchers.append(TensorBoard(output, first_step))
        if config.watch.wandb is not None:
            self._watchers.append(WeightsAndBiases(output, config))
        self._watchers += [Lines(output, first_step), ProgressLine(first_step, config.steps)]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for watcher in self._watchers:
            watcher.close()

    def add(self, metrics: StepMetrics) -> None:
        """Show and keep one step."""
        for watcher in self._watchers:
            watcher.add(metrics)

    def add_validation(self, step: int, loss: dict[str, float]) -> None:
        """Show and keep the losses of each corpus on held-out shards, after `step` steps."""
        for watcher in self._watchers:
            watcher.add_validation(step, loss)
