"""What people watch: a live line while training, and one JSON line for each step in `metrics.jsonl`."""

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FILE = "metrics.jsonl"
PLAIN_LINES = 20  # of a whole run, where no terminal shows a bar


@dataclass(frozen=True)
class StepMetrics:
    """One step, over all processes."""

    step: int  # steps done, from 1
    loss: dict[str, float]  # mean over the targets of a corpus; a small share may have none in a step
    num_tokens: dict[str, int]  # of a corpus, padding not counted
    num_images: int
    num_skipped: int  # samples and images that could not be read, since this process started
    learning_rate: float
    gradient_norm: float  # before clipping
    seconds: float
    batch: str  # digest of the step's rows

    def __str__(self) -> str:
        losses = "  ".join(f"{corpus} {loss:.3f}" for corpus, loss in self.loss.items())
        speed = f"{sum(self.num_tokens.values()) / self.seconds:,.0f} tokens/s"
        skipped = f"  {self.num_skipped} skipped" if self.num_skipped else ""
        return f"loss: {losses}  {speed}  {self.num_images / self.seconds:,.0f} images/s{skipped}"


def read(output: Path) -> list[StepMetrics]:
    """Read the metrics of a run, whole lines alone: a killed run may have left half of one."""
    path = output / FILE
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [StepMetrics(**json.loads(line)) for line in lines]


class Monitor(AbstractContextManager["Monitor"]):
    """Shows and writes the metrics of every step, on the first process alone."""

    def __init__(self, output: Path, first_step: int, last_step: int, shown: bool) -> None:
        self._shown, self._last = shown, last_step
        console = Console(stderr=True)
        self._plain = not console.is_terminal
        self._file: TextIO | None = None
        if shown:
            kept = [m for m in read(output) if m.step <= first_step]  # what came after the checkpoint comes again
            self._file = (output / FILE).open("w", encoding="utf-8")
            self._file.writelines(_line(m) for m in kept)
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not shown or self._plain,
        )
        self._task = self._bar.add_task("", total=last_step, completed=first_step)

    def __enter__(self) -> "Monitor":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        if self._file is not None:
            self._file.close()

    def add(self, metrics: StepMetrics) -> None:
        """Show and write one step."""
        if self._file is None:
            return
        self._file.write(_line(metrics))
        self._file.flush()
        self._bar.update(self._task, completed=metrics.step, description=str(metrics))
        due = metrics.step == 1 or metrics.step == self._last or metrics.step % max(1, self._last // PLAIN_LINES) == 0
        if self._plain and due:
            self._bar.console.print(f"step {metrics.step}/{self._last}  {metrics}", highlight=False, soft_wrap=True)


def _line(metrics: StepMetrics) -> str:
    return json.dumps(asdict(metrics)) + "\n"
