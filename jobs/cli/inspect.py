"""The commands `weft stats` and `weft why`."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer
from rich.filesize import decimal
from rich.text import Text

from jobs.cli.options import AsJson, app
from jobs.printing import console, print_line, table
from pipeline.inspect.funnel import NOTES, RunWarning, by_host, by_rule, find_warnings, funnel
from pipeline.shards.stats import QUANTILES, corpora
from schemas.display import message, percent, to_json


def show_funnel(directory: str) -> None:
    """Print a summary of the funnel: the counts and rejections by rule of each step, and warnings."""
    print_funnel(funnel(directory))
    print_warnings(find_warnings(directory))


def print_warnings(warnings: list[RunWarning]) -> None:
    """Print each warning and its remedy on one line."""
    for warning in warnings:
        names = f" ({warning.names})" if warning.names else ""
        text = message(f": {warning.step}: {warning.text}{names}; {warning.remedy}")
        console.print(Text.assemble(("warning", "bold yellow"), text), soft_wrap=True)


def print_funnel(steps: list[dict[str, Any]]) -> None:
    """Print the result of pipeline.inspect.funnel.funnel."""
    shown = table("Funnel", "step", "counts", "rejected by rule", numbers=("seconds",))
    for step in steps:
        shown.add_row(step["step"], _lines(step["counts"]), _lines(step["rejected"]), f"{step['seconds']:g}")
    console.print(shown)
    for step in steps:
        for key, value in step["notes"].items():
            if key not in NOTES:
                print_line(f"  {step['step']}, {key}: {value}")


def show_dropped(directory: str, by: Literal["rule", "host"], limit: int, as_json: bool) -> None:
    """Print what every step dropped by rule or host, the largest first, as tables or as one JSON object.

    Raises: PathError when the directory holds no run.
    """
    rows: Any = by_rule(directory, limit) if by == "rule" else by_host(directory, limit)
    if as_json:
        print(to_json({"funnel": rows}, 1))
    elif by == "rule":
        _print_rules(rows)
    else:
        _print_hosts(rows)


def _print_rules(rows: list[dict[str, Any]]) -> None:
    numbers = ("in", "dropped", "share", "only", "median", "bound", "out")
    shown = table("Funnel by rule", "step and rule", numbers=numbers, fold=True)
    for row in rows:
        if row["before"]:
            shown.add_row(Text(f"{row['things']} dropped indirectly", "dim"), "", f"{row['before']:,}")
        share = _share(row["taken"], row["in"])
        shown.add_row(Text(f"{row['step']}: {row['things']}", "bold"), _count(row["in"]), f"{row['taken']:,}", share,
                      "", "", "", _count(row["out"]))  # fmt: skip
        for rule in row["rules"]:
            share = _share(rule["dropped"], row["in"])
            shown.add_row(f"  {rule['rule']}", "", f"{rule['dropped']:,}", share, f"{rule['alone']:,}",
                          _number(rule["median"]), _number(rule["threshold"]))  # fmt: skip
        more = row["num_rules"] - len(row["rules"])
        if more:
            shown.add_row(f"  and {more:,} more rules")
    console.print(shown)
    print_line(
        "  only: dropped by this rule and no other rule of the step; median: of the measure of what the rule dropped"
    )
    print_line(
        "  dropped indirectly: with their page or image, as a repetition, or because no corpus of the recipe uses them"
    )


def _print_hosts(kinds: dict[str, dict[str, Any]]) -> None:
    for kind, facts in kinds.items():
        title = f"Funnel of {kind} by host: {facts['taken']:,} of {facts['in']:,} dropped, {facts['num_hosts']:,} hosts"
        shown = table(title, "host", numbers=("in", "dropped", "share", "out"))
        shown.add_column("by rule")
        for host in facts["hosts"]:
            rules = ", ".join(f"{rule} {n:,}" for rule, n in host["rules"].items())
            share = _share(host["taken"], host["in"])
            name = host["host"] or "no address"
            shown.add_row(name, f"{host['in']:,}", f"{host['taken']:,}", share, f"{host['out']:,}", rules)
        console.print(shown)


def _lines(counts: dict[str, int]) -> str:
    return "\n".join(f"{name} {n:,}" for name, n in counts.items())


def _share(part: int, whole: int | None) -> str:
    return percent(part, whole or 0)


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


DISTRIBUTIONS = {
    "words_a_sample": "words",
    "image_width_pixels": "image width",
    "image_height_pixels": "image height",
    "clip_score": "CLIP score",
}


def show_stats(directory: str, as_json: bool) -> None:
    """Print a run's warnings, its funnel, and statistics of its shards, as tables or as one JSON object.

    Raises: PathError when there are no shards.
    """
    statistics, steps = corpora(directory), funnel(directory)
    warnings = find_warnings(directory)
    if as_json:
        listed = [asdict(warning) for warning in warnings]
        print(to_json({"warnings": listed, "corpora": statistics, "funnel": steps}, 1))
        return
    print_warnings(warnings)
    if steps:
        print_funnel(steps)
    _print_sizes(statistics)
    _print_distributions(statistics)
    for kind in ("languages", "hosts"):
        for corpus, facts in statistics.items():
            found = ", ".join(f"{name} {n:,}" for name, n in facts[kind].items())
            more = facts[f"num_{kind}"] - len(facts[kind])
            print_line(f"{kind} of {corpus}: {found}" + f" and {more:,} more" * (more > 0))


def _print_sizes(statistics: dict[str, dict[str, Any]]) -> None:
    names = ("samples", "held_out", "images", "words", "tokens", "shards")
    shown = table("Shards", "corpus", numbers=(*names, "bytes"))
    for corpus, facts in statistics.items():
        shown.add_row(corpus, *(f"{facts[n]:,}" for n in names), decimal(facts["bytes"]))
    console.print(shown)
    counted_by = dict.fromkeys(facts["tokens_by"] for facts in statistics.values())
    print_line(f"  text tokens, counted by: {'; '.join(counted_by)}")


def _print_distributions(statistics: dict[str, dict[str, Any]]) -> None:
    quantiles = tuple({0: "min", 0.5: "median", 1: "max"}.get(q, f"{q:.0%}") for q in QUANTILES)
    shown = table("Distribution", "of", "corpus", numbers=quantiles)
    for name, title in DISTRIBUTIONS.items():
        for corpus, facts in statistics.items():
            if facts[name]:
                shown.add_row(title, corpus, *map(_format, facts[name].values()))
    console.print(shown)


def _format(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 2 else f"{value:,.0f}"


@app.command()
def stats(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output of a run, or its shards folder.")],
    as_json: AsJson = False,
    funnel: Annotated[
        bool, typer.Option("--funnel", help="Print what every step dropped instead; works before shards exist.")
    ] = False,
    by: Annotated[
        Literal["rule", "host"] | None, typer.Option(help="The funnel by rule (as --funnel) or by host.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Show at most N rules per step, or N hosts.", metavar="N", min=1)] = 20,
) -> None:
    """Print statistics of the shards, and the funnel: the input, dropped and kept rows of each step.

    Needs a finished run; with --funnel, at least one finished step. Needs neither Java nor Spark.

    Example: `weft stats OUT --funnel --by host`
    """
    from jobs.errors import explain_read_errors

    with explain_read_errors(directory):
        if funnel or by:
            show_dropped(directory, by or "rule", limit, as_json)
        else:
            show_stats(directory, as_json)


@app.command()
def why(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output of a run; a path or an address.")],
    name: Annotated[
        str, typer.Argument(metavar="ID|URL", help="Id of a page, image or sample; or a URL exactly as captured.")
    ],
    as_json: AsJson = False,
) -> None:
    """Trace one page or image from its capture to its shard, or to the rule that dropped it.

    Shows its measures, the thresholds it missed, its duplicates, and its images or pages. Works on unfinished runs.
    Needs neither Java nor Spark.

    Example: `weft why OUT https://host.example/page.html`
    """
    from jobs.cli.why import show_why
    from jobs.errors import explain_read_errors

    with explain_read_errors(directory):
        show_why(directory, name, as_json)
