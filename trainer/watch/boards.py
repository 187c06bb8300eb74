"""Boards that draw curves: TensorBoard, and Weights & Biases where it is asked for. Neither is imported before that."""

from pathlib import Path
from typing import Any

from schemas.errors import MissingError
from schemas.secrets import redacted
from trainer.config import TrainConfig
from trainer.watch.metrics import StepMetrics

FOLDER = "tensorboard"  # of the event files, in the output folder


class TensorBoard:
    """Event files; `tensorboard --logdir OUTPUT` shows them. Steps that come again replace what stands there."""

    def __init__(self, output: Path, first_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingError("watch.tensorboard needs the package: pip install tensorboard") from error
        self._writer = SummaryWriter(str(output / FOLDER), purge_step=first_step + 1)

    def add(self, metrics: StepMetrics) -> None:
        for name, value in metrics.scalars().items():
            self._writer.add_scalar(name, value, metrics.step)

    def add_validation(self, step: int, loss: dict[str, float]) -> None:
        for corpus, value in loss.items():
            self._writer.add_scalar(f"validation/{corpus}", value, step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run in the project that `watch.wandb` names; with WANDB_MODE=offline its files stay in the output folder."""

    def __init__(self, output: Path, config: TrainConfig) -> None:
        try:
            import wandb
        except ImportError as error:
            raise MissingError("watch.wandb needs the package: pip install wandb") from error
        self._run: Any = wandb.init(
            project=config.watch.wandb,
            name=config.name,
            dir=str(output),
            config=redacted(config.model_dump(mode="json")),
        )

    def add(self, metrics: StepMetrics) -> None:
        self._run.log(metrics.scalars(), step=metrics.step)

    def add_validation(self, step: int, loss: dict[str, float]) -> None:
        self._run.log({f"validation/{corpus}": value for corpus, value in loss.items()}, step=step)

    def close(self) -> None:
        self._run.finish()
