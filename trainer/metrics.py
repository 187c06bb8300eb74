"""Metrics of steps, with FLOPs and device memory, and their loggers: JSON lines, a progress line, TensorBoard, W&B."""

import json
import resource
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.display import redacted
from schemas.errors import IntegrityError, MissingError
from trainer.config import ModelConfig, TrainConfig
from trainer.model.kosmos import Kosmos
from trainer.model.vision import Vision


@dataclass(frozen=True)
class StepMetrics:
    """One step, over all processes."""

    step: int  # steps done, from 1
    loss: dict[str, float]  # mean over the targets of a corpus; only corpora with targets and a finite loss
    num_tokens: dict[str, int]  # by corpus, without padding
    num_images: int
    num_skipped: int  # samples and images of the step that could not be read
    learning_rate: float
    gradient_norm: float | None  # before clipping; None: not finite
    applied: bool  # false: the loss or the gradient was not finite, and the weights were not updated
    seconds: float
    wait_seconds: float  # part of `seconds` that the slowest process waited for its rows
    peak_gpu_bytes: int  # GPU memory of the process that used most; 0 on CPUs
    peak_rss_bytes: int  # CPU memory of the process that used most
    batch: str  # digest of the step's rows
    save_seconds: float = 0.0  # how long a checkpoint paused training just before this step
    mfu: float | None = None  # model FLOPs over the peak of the devices; None where the peak is unknown

    @property
    def tokens_per_second(self) -> float:
        return sum(self.num_tokens.values()) / self.seconds

    @property
    def images_per_second(self) -> float:
        return self.num_images / self.seconds

    def scalars(self) -> dict[str, float]:
        """Return the scalars that loggers plot over steps, by name."""
        scalars = {
            **{f"loss/{corpus}": loss for corpus, loss in self.loss.items()},
            "optimizer/learning_rate": self.learning_rate,
            "optimizer/gradient_norm": self.gradient_norm,
            "speed/tokens_per_second": self.tokens_per_second,
            "speed/images_per_second": self.images_per_second,
            "speed/mfu": self.mfu,
            "speed/step_seconds": self.seconds,
            "speed/wait_fraction": self.wait_seconds / self.seconds,
            "speed/save_seconds": self.save_seconds,
            "memory/peak_gpu_gib": self.peak_gpu_bytes / 2**30,
            "memory/peak_rss_gib": self.peak_rss_bytes / 2**30,
            "data/num_skipped": self.num_skipped,
        }
        return {name: value for name, value in scalars.items() if value is not None}

    def __str__(self) -> str:
        parts = [f"{corpus} {loss:.3f}" for corpus, loss in self.loss.items()]
        parts += [f"{self.tokens_per_second:,.0f} tokens/s", f"{self.images_per_second:,.0f} images/s"]
        parts += [f"{self.mfu:.1%} MFU"] if self.mfu is not None else []
        parts += [f"{self.wait_seconds / self.seconds:.0%} waiting"]
        parts += [] if self.gradient_norm is None else [f"gradient {self.gradient_norm:.2f}"]
        parts += [] if self.applied else ["NOT FINITE"]
        parts += [f"{self.num_skipped} skipped"] if self.num_skipped else []
        return "loss: " + "  ".join(parts)


FILE = "metrics.jsonl"
VALIDATION_FILE = "validation.jsonl"


def read(output: Path) -> list[StepMetrics]:
    """Read the metrics of a run's steps."""
    try:
        return [StepMetrics(**line) for line in _complete_lines(output / FILE)]
    except TypeError as error:
        raise IntegrityError(f"{output / FILE} does not hold the metrics of a run: {error}; move it away") from error


class JsonLines:
    """Writes JSON lines. Lines of steps after `first_step` are removed, since a resumed run writes them again."""

    def __init__(self, output: Path, first_step: int) -> None:
        self._steps = _reopen(output / FILE, first_step)
        self._validations = _reopen(output / VALIDATION_FILE, first_step)

    def add(self, metrics: StepMetrics) -> None:
        _write(self._steps, asdict(metrics))

    def add_validation(self, step: int, loss: dict[str, float]) -> None:
        _write(self._validations, {"step": step, "loss": loss})

    def close(self) -> None:
        self._steps.close()
        self._validations.close()


def _complete_lines(path: Path) -> list[dict[str, Any]]:
    """Read the complete lines; a killed run may have left an incomplete one."""
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            value = json.loads(line)  # accepts NaN, which a validation loss may be
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or type(value.get("step")) is not int:
            raise IntegrityError(f"{path}, line {number}, is not a metrics line of a run; move the file away")
        found.append(value)
    return found


def _reopen(path: Path, first_step: int) -> TextIO:
    kept = [line for line in _complete_lines(path) if line["step"] <= first_step]
    file = path.open("w", encoding="utf-8")
    for line in kept:
        _write(file, line)
    return file


def _write(file: TextIO, line: dict[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()


# Dense bf16 with fp32 accumulation [FLOP/s], from data sheets; by parts of GPU names, longer ones first.
PEAK_FLOPS = {
    "GB200": 2.5e15,
    "B200": 2.25e15,
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "MI300X": 1307e12,
}


def peak_flops(device: torch.device) -> float | None:
    """Return the peak of a device [FLOP/s]; None for a CPU and for a GPU that is not in the table."""
    return named_peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def named_peak(name: str) -> float | None:
    """Look a GPU up by its name in torch, such as `NVIDIA H100 80GB HBM3`."""
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


def peak_gpu_bytes(device: torch.device) -> int:
    """Return the peak memory of tensors since the process started [bytes]; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def peak_rss_bytes() -> int:
    """Return the peak resident memory of this process [bytes]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


@dataclass(frozen=True)
class VisionFlops:
    """The sizes of a vision transformer."""

    layers: int
    width: int
    mlp_width: int
    tokens: int
    """Tokens of an image, including the class token."""
    patch_values: int
    """Values of a patch: its pixels times three colours."""
    trainable_layers: int

    @classmethod
    def of(cls, vision: Vision) -> "VisionFlops":
        blocks = vision.tower.transformer.resblocks
        tokens, width = vision.tower.positional_embedding.shape
        trainable = sum(any(p.requires_grad for p in block.parameters()) for block in blocks)
        patch_values = vision.tower.conv1.weight[0].numel()
        return cls(len(blocks), width, blocks[0].mlp.c_fc.out_features, tokens, patch_values, trainable)


@dataclass(frozen=True)
class Flops:
    """FLOPs of a training step, per token and per image."""

    per_token: float
    per_image: float

    @classmethod
    def of(cls, model: Kosmos, config: TrainConfig) -> "Flops":
        return cls(
            decoder_per_token(config.model, config.data.sequence_length, model.embedding.num_embeddings),
            vision_per_image(VisionFlops.of(model.vision)) + resampler_per_image(VisionFlops.of(model.vision), config),
        )

    def utilisation(self, step: StepMetrics, peak: float) -> float:
        """Return MFU, from 0 to 1: the model's FLOP/s over the total peak of the devices [FLOP/s]."""
        flops = sum(step.num_tokens.values()) * self.per_token + step.num_images * self.per_image
        return flops / (step.seconds * peak)


def decoder_per_token(model: ModelConfig, length: int, num_embeddings: int, causal: bool = False) -> float:
    """Return the FLOPs of a token in the decoder, forward and backward.

    Attention counts every pair of positions of a row, as published figures do; `causal`: only the unmasked half.
    """
    matrices = model.layers * (4 * model.width**2 + 2 * model.width * model.ffn_width) + num_embeddings * model.width
    attention = 2 * model.layers * model.width * length * (0.5 if causal else 1)
    return 3 * 2 * (matrices + attention)


def vision_per_image(vision: VisionFlops) -> float:
    """Return the FLOPs of an image in the vision encoder: forward, and backward through trainable layers."""
    matrices = vision.tokens * (4 * vision.width**2 + 2 * vision.width * vision.mlp_width)
    layer = 2 * (matrices + 2 * vision.tokens**2 * vision.width)
    patches = 2 * (vision.tokens - 1) * vision.patch_values * vision.width
    return vision.layers * layer + patches + 2 * vision.trainable_layers * layer


def resampler_per_image(vision: VisionFlops, config: TrainConfig) -> float:
    """Return the FLOPs of an image in the resampler, forward and backward."""
    width, latents = config.model.width, config.vision.latents
    keys = vision.tokens + latents
    matrices = vision.tokens * vision.width * width + (2 * latents + 2 * keys) * width**2
    return 3 * 2 * (matrices + 2 * latents * keys * width)


FOLDER = "tensorboard"  # of the event files, in the output folder


class TensorBoard:
    """Writes event files, for `tensorboard --logdir OUTPUT`. Repeated steps of a resumed run replace earlier ones."""

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


LINES = 20  # minimum for a whole run, without a terminal
SECONDS = 60  # maximum between two lines, if steps are shorter


class ProgressLine:
    """Shows every step on standard error: as a progress bar, or as lines without a terminal."""

    def __init__(self, first_step: int, last_step: int) -> None:
        self._last, self._shown_at = last_step, time.monotonic()
        console = Console(stderr=True)
        self._plain = not console.is_terminal
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=self._plain,
        )
        self._task = self._bar.add_task("", total=last_step, completed=first_step)
        self._bar.start()

    def add(self, metrics: StepMetrics) -> None:
        self._bar.update(self._task, completed=metrics.step, description=str(metrics))
        if self._plain and self._is_due(metrics.step):
            self._print(f"step {metrics.step}/{self._last}  {metrics}")

    def add_validation(self, step: int, loss: dict[str, float]) -> None:
        losses = "  ".join(f"{corpus} {value:.3f}" for corpus, value in loss.items())
        self._print(f"step {step}/{self._last}  validation loss: {losses}")

    def close(self) -> None:
        self._bar.stop()

    def _is_due(self, step: int) -> bool:
        in_turn = step == 1 or step == self._last or step % max(1, self._last // LINES) == 0
        return in_turn or time.monotonic() - self._shown_at > SECONDS

    def _print(self, line: str) -> None:
        self._shown_at = time.monotonic()
        self._bar.console.print(line, highlight=False, soft_wrap=True)


class MetricsLogger(Protocol):
    """Shows or stores metrics."""

    def add(self, metrics: StepMetrics) -> None: ...

    def add_validation(self, step: int, loss: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class Monitor(AbstractContextManager["Monitor"]):
    """The loggers of a configuration; none where `shown` is false."""

    def __init__(self, output: Path, first_step: int, config: TrainConfig, shown: bool) -> None:
        self._loggers: list[MetricsLogger] = []
        if not shown:
            return
        if config.watch.tensorboard:
            self._loggers.append(TensorBoard(output, first_step))
        if config.watch.wandb is not None:
            self._loggers.append(WeightsAndBiases(output, config))
        self._loggers += [JsonLines(output, first_step), ProgressLine(first_step, config.steps)]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for logger in self._loggers:
            logger.close()

    def add(self, metrics: StepMetrics) -> None:
        """Log the metrics of a step."""
        for logger in self._loggers:
            logger.add(metrics)

    def add_validation(self, step: int, loss: dict[str, float]) -> None:
        """Log the validation loss of each corpus after `step` steps."""
        for logger in self._loggers:
            logger.add_validation(step, loss)
