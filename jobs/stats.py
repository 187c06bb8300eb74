"""Print statistics and the funnel."""

import json
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.stats import corpora, funnel

console = Console()


def show(directory: str, as_json: bool) -> None:
    """Print what the shards of a run hold, and its funnel; as tables or as one JSON object.

    Raises: PathError when there are no shards.
    """
    described, steps = corpora(directory), funnel(directory)
    if as_json:
        print(json.dumps({"corpora": described, "funnel": steps}, indent=1, ensure_ascii=False))
        return
    if steps:
        _print_funnel(steps)
    table = Table(box=box.SIMPLE, title="Shards", title_justify="left")
    table.add_column("")
    for corpus in described:
        table.add_column(corpus, justify="right", overflow="fold")
    for key in next(iter(described.values()), {}):
        table.add_row(key.replace("_", " "), *(_cell(d[key]) for d in described.values()))
    console.print(table)


def show_funnel(directory: str) -> None:
    """Print the funnel of a run: each step, what stayed, and what every rule took."""
    _print_funnel(funnel(directory))


def _print_funnel(steps: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE, title="Funnel", title_justify="left")
    for name in ("step", "counts", "rejected by rule"):
        table.add_column(name, overflow="fold")
    table.add_column("seconds", justify="right")
    for step in steps:
        notes = "\n".join(f"{key}: {value}" for key, value in step["notes"].items())
        counts = "\n".join(part for part in (_cell(step["counts"]), notes) if part)
        table.add_row(step["step"], counts, _cell(step["rejected"]), f"{step['seconds']:g}")
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{k} {_cell(v)}" for k, v in value.items())
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
