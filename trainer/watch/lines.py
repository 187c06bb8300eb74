"""JSON lines: `metrics.jsonl` has one for each step, `validation.jsonl` one for each validation."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from schemas.errors import IntegrityError
from trainer.watch.metrics import StepMetrics

FILE = "metrics.jsonl"
VALIDATION_FILE = "validation.jsonl"


def read(output: Path) -> list[StepMetrics]:
    """Read the metrics of a run's steps."""
    try:
        return [StepMetrics(**line) for line in _whole_lines(output / FILE)]
    except TypeError as error:
        raise IntegrityError(f"{output / FILE} is not what a run wrote: {error}; move it away") from error


def read_validation(output: Path) -> dict[int, dict[str, float]]:
    """Read the validation losses of a run, step to corpus to loss."""
    return {line["step"]: line["loss"] for line in _whole_lines(output / VALIDATION_FILE)}


class Lines:
    """Writes them, a run's earlier ones first: what came after the checkpoint that it goes on from comes again."""

    def __init__(self, output: Path, first_step: int) -> None:
        self._steps = _go_on(output / FILE, first_step)
        self._validations = _go_on(output / VALIDATION_FILE, first_step)

    def add(self, metrics: StepMetrics) -> None:
        _write(self._steps, asdict(metrics))

    def add_validation(self, step: int, loss: dict[str, float]) -> None:
        _write(self._validations, {"step": step, "loss": loss})

    def close(self) -> None:
        self._steps.close()
        self._validations.close()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Read whole lines alone: a killed run may have left half of one."""
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            value = json.loads(line)  # of NaN too: a validation loss may be
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or type(value.get("step")) is not int:
            raise IntegrityError(f"{path}, line {number}, is not what a run wrote; move the file away")
        found.append(value)
    return found


def _go_on(path: Path, first_step: int) -> TextIO:
    kept = [line for line in _whole_lines(path) if line["step"] <= first_step]
    file = path.open("w", encoding="utf-8")
    for line in kept:
        _write(file, line)
    return file


def _write(file: TextIO, line: dict[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()
