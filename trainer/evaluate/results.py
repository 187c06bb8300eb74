"""What an evaluation came to: a table with the paper's figures beside, and JSON."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from schemas.errors import IntegrityError
from trainer.evaluate.run import Result
from trainer.evaluate.task import Score

FILE = "results.json"
_PAPER = Path(__file__).with_name("paper.yaml")


def keep(output: Path, checkpoint: str, identity: str, found: list[Result]) -> None:
    """Write results into `output/results.json`, beside those of other tasks and shots that the same model had.

    Raises: IntegrityError when something else lies there.
    """
    path = output / FILE
    earlier = _earlier(path, identity) if path.is_file() else {}
    new = [{**asdict(result), "paper": paper(result.task, result.shots)} for result in found]
    results = earlier | {_asked(result): result for result in new}
    told = {"checkpoint": checkpoint, "identity": identity, "results": [results[asked] for asked in sorted(results)]}
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def show(found: list[Result]) -> None:
    """Print the table."""
    table = Table("task", "shots", "metric", "here", "95 %", "paper", "examples")
    for result in found:
        theirs = paper(result.task, result.shots)
        for metric, score in result.scores.items():
            table.add_row(
                result.task + ", with rationale" * result.rationale, str(result.shots), metric,
                _told(score.value), _interval(score), f"{theirs[metric]:.1f}" if metric in theirs else "",
                f"{result.num_examples:,}",
            )  # fmt: skip
    Console().print(table)


def paper(task: str, shots: int) -> dict[str, float]:
    """Return the paper's figures for a task with so many shots, by metric; those that are known."""
    return _figures().get(task, {}).get(shots, {})


@cache
def _figures() -> dict[str, dict[int, dict[str, float]]]:
    found: dict[str, dict[int, dict[str, float]]] = yaml.safe_load(_PAPER.read_text(encoding="utf-8"))
    return found


def _interval(score: Score) -> str:
    return "" if score.low is None or score.high is None else f"{_told(score.low)} to {_told(score.high)}"


def _told(value: float) -> str:
    return f"{value:.3f}" if 0 < abs(value) < 1 else f"{value:.1f}"


def _earlier(path: Path, identity: str) -> dict[tuple[str, int, bool], dict[str, Any]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {_asked(result): result for result in kept["results"]} if kept["identity"] == identity else {}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{path} is not what an evaluation wrote; move it away, and start again") from error


def _asked(result: dict[str, Any]) -> tuple[str, int, bool]:
    return result["task"], result["shots"], result["rationale"]
