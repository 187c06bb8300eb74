"""A live line on a terminal; where there is none, a line now and then."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.watch.metrics import StepMetrics

LINES = 20  # of a whole run at least, where no terminal shows a bar
SECONDS = 60  # between two of them at most, steps being shorter


class ProgressLine:
    """Shows every step on standard error."""

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
