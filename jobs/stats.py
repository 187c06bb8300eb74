"""Print statistics and the funnel."""

import json
from typing import Any

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from pipeline.stats import QUANTILES, corpora, funnel

SPREADS = {
    "words_a_sample": "words",
    "image_width_pixels": "image width",
    "image_height_pixels": "image height",
    "clip_score": "CLIP score",
}
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
    _print_sizes(described)
    _print_spreads(described)
    for kind in ("languages", "hosts"):
        for corpus, facts in described.items():
            found = ", ".join(f"{name} {n:,}" for name, n in facts[kind].items())
            more = facts[f"num_{kind}"] - len(facts[kind])
            _say(f"{kind} of {corpus}: {found}" + f" and {more:,} more" * (more > 0))


def show_funnel(directory: str) -> None:
    """Print the funnel of a run: each step, what stayed, and what every rule took."""
    _print_funnel(funnel(directory))


def _print_funnel(steps: list[dict[str, Any]]) -> None:
    table = _table("Funnel", "step", "counts", "rejected by rule")
    table.add_column("seconds", justify="right")
    for step in steps:
        table.add_row(step["step"], _lines(step["counts"]), _lines(step["rejected"]), f"{step['seconds']:g}")
    console.print(table)
    for step in steps:
        for key, value in step["notes"].items():
            _say(f"  {step['step']}, {key}: {value}")


def _print_sizes(described: dict[str, dict[str, Any]]) -> None:
    names = ("samples", "images", "words", "tokens", "shards")
    table = _table("Shards", "corpus")
    for name in (*names, "bytes"):
        table.add_column(name, justify="right")
    for corpus, facts in described.items():
        table.add_row(corpus, *(f"{facts[n]:,}" for n in names), decimal(facts["bytes"]))
    console.print(table)
    known = dict.fromkeys(facts["tokens_by"] for facts in described.values())
    _say(f"  tokens of the text, by: {'; '.join(known)}")


def _print_spreads(described: dict[str, dict[str, Any]]) -> None:
    table = _table("Spread", "of", "corpus")
    for quantile in QUANTILES:
        name = {0: "least", 0.5: "median", 1: "most"}.get(quantile, f"{quantile:.0%}")
        table.add_column(name, justify="right")
    for name, shown in SPREADS.items():
        for corpus, facts in described.items():
            if facts[name]:
                table.add_row(shown, corpus, *map(_number, facts[name].values()))
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE, title=title, title_justify="left", pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _say(line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 2 else f"{value:,.0f}"


def _lines(counts: dict[str, int]) -> str:
    return "\n".join(f"{name} {n:,}" for name, n in counts.items())
