"""The commands that show what a run made: the funnel, and what the shards hold."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer
from rich.filesize import decimal
from rich.text import Text

from jobs.cli.options import AsJson, app
from jobs.printing import console, say, table
from pipeline.inspect.funnel import NOTES, RunWarning, by_host, by_rule, find_warnings, funnel
from pipeline.shards.stats import QUANTILES, corpora
from schemas.display import message, percent, to_json


def show_funnel(directory: str) -> None:
    """Print the funnel of a run at a glance: each step, what stayed, how many rejections every rule made; warnings."""
    print_funnel(funnel(directory))
    print_warnings(find_warnings(directory))


def print_warnings(warnings: list[RunWarning]) -> None:
    """Print each warning in a line, with what to do."""
    for warned in warnings:
        named = f" ({warned.names})" if warned.names else ""
        words = message(f": {warned.step}: {warned.text}{named}; {warned.remedy}")
        console.print(Text.assemble(("warning", "bold yellow"), words), soft_wrap=True)


def print_funnel(steps: list[dict[str, Any]]) -> None:
    """Print the steps that pipeline.funnel.funnel lists."""
    shown = table("Funnel", "step", "counts", "rejected by rule", numbers=("seconds",))
    for step in steps:
        shown.add_row(step["step"], _lines(step["counts"]), _lines(step["rejected"]), f"{step['seconds']:g}")
    console.print(shown)
    for step in steps:
        for key, value in step["notes"].items():
            if key not in NOTES:
                say(f"  {step['step']}, {key}: {value}")


def show_dropped(directory: str, by: Literal["rule", "host"], limit: int, as_json: bool) -> None:
    """Print what every step took, by rule or by host, the most first; as tables or as one JSON object.

    Raises: PathError when nothing of a run is there.
    """
    told: Any = by_rule(directory, limit) if by == "rule" else by_host(directory, limit)
    if as_json:
        print(to_json({"funnel": told}, 1))
    elif by == "rule":
        _print_rules(told)
    else:
        _print_hosts(told)


def _print_rules(rows: list[dict[str, Any]]) -> None:
    numbers = ("in", "taken", "share", "alone", "median", "bound", "out")
    shown = table("Funnel by rule", "step and rule", numbers=numbers, fold=True)
    for row in rows:
        if row["before"]:
            shown.add_row(Text(f"{row['things']} went with others", "dim"), "", f"{row['before']:,}")
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
    say("  alone: what no other rule of the step speaks against; median: of what a rule measured of what it took")
    say("  went with others: with a page or image that was taken, not wanted by any corpus, or equal to another")


def _print_hosts(told: dict[str, dict[str, Any]]) -> None:
    for things, facts in told.items():
        title = f"Funnel of {things} by host: {facts['taken']:,} of {facts['in']:,} taken, {facts['num_hosts']:,} hosts"
        shown = table(title, "host", numbers=("in", "taken", "share", "out"))
        shown.add_column("by rule")
        for host in facts["hosts"]:
            rules = ", ".join(f"{rule} {n:,}" for rule, n in host["rules"].items())
            share = _share(host["taken"], host["in"])
            name = host["host"] or "without an address"
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


SPREADS = {
    "words_a_sample": "words",
    "image_width_pixels": "image width",
    "image_height_pixels": "image height",
    "clip_score": "CLIP score",
}


def show_stats(directory: str, as_json: bool) -> None:
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
                shown.add_row(meant, corpus, *map(_mean, facts[name].values()))
    console.print(shown)


def _mean(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 2 else f"{value:,.0f}"


@app.command()
def stats(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output of a run, or its shards folder.")],
    as_json: AsJson = False,
    funnel: Annotated[
        bool, typer.Option("--funnel", help="Print what every step took instead; the shards need not be there yet.")
    ] = False,
    by: Annotated[
        Literal["rule", "host"] | None,
        typer.Option(help="The funnel by rule, which is what --funnel prints, or by host."),
    ] = None,
    limit: Annotated[int, typer.Option(help="Rules of a step, or hosts, at most: those that lost most.", min=1)] = 20,
) -> None:
    """Print what the shards hold and the funnel that led to them.

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
        str,
        typer.Argument(metavar="ID|URL", help="Id of a page, an image or a sample; or an address, as it was captured."),
    ],
    as_json: AsJson = False,
) -> None:
    """Tell what became of one page or image: from its capture to the shard that holds it, or to its end.

    Example: `weft why OUT https://host.example/page.html`
    """
    from jobs.cli.why import show_why
    from jobs.errors import explain_read_errors

    with explain_read_errors(directory):
        show_why(directory, name, as_json)
