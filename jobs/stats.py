"""Print what the shards hold, under the funnel that led to them."""

from dataclasses import asdict
from typing import Any

from rich.filesize import decimal

from jobs.funnel import print_funnel, print_warnings
from jobs.printing import console, say, table
from pipeline.funnel import funnel
from pipeline.funnel.warnings import find_warnings
from pipeline.stats import QUANTILES, corpora
from schemas.display import to_json

SPREADS = {
    "words_a_sample": "words",
    "image_width_pixels": "image width",
    "image_height_pixels": "image height",
    "clip_score": "CLIP score",
}


def show(directory: str, as_json: bool) -> None:
    """Print a run's warnings, what its shards hold, and its funnel; as tables or as one JSON object.

    Raises: PathError when there are no shards.
    """
    described, steps = corpora(directory), funnel(directory)
    warnings = find_warnings(directory)
    if as_json:
        listed = [asdict(warned) for warned in warnings]
        print(to_json({"warnings": listed, "corpora": described, "funnel": steps}, 1))
        return
    print_warnings(warnings)
    if steps:
        print_funnel(steps)
    _print_sizes(described)
    _print_spreads(described)
    for kind in ("languages", "hosts"):
        for corpus, facts in described.items():
            found = ", ".join(f"{name} {n:,}" for name, n in facts[kind].items())
            more = facts[f"num_{kind}"] - len(facts[kind])
            say(f"{kind} of {corpus}: {found}" + f" and {more:,} more" * (more > 0))


def _print_sizes(described: dict[str, dict[str, Any]]) -> None:
    names = ("samples", "held_out", "images", "words", "tokens", "shards")
    shown = table("Shards", "corpus", numbers=(*names, "bytes"))
    for corpus, facts in described.items():
        shown.add_row(corpus, *(f"{facts[n]:,}" for n in names), decimal(facts["bytes"]))
    console.print(shown)
    known = dict.fromkeys(facts["tokens_by"] for facts in described.values())
    say(f"  tokens of the text, by: {'; '.join(known)}")


def _print_spreads(described: dict[str, dict[str, Any]]) -> None:
    quantiles = tuple({0: "least", 0.5: "median", 1: "most"}.get(q, f"{q:.0%}") for q in QUANTILES)
    shown = table("Spread", "of", "corpus", numbers=quantiles)
    for name, meant in SPREADS.items():
        for corpus, facts in described.items():
            if facts[name]:
                shown.add_row(meant, corpus, *map(_number, facts[name].values()))
    console.print(shown)


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 2 else f"{value:,.0f}"
