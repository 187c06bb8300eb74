"""Print the funnel: at a glance, by rule, and by host."""

from typing import Any, Literal

from rich.text import Text

from jobs.printing import console, say, table
from pipeline.funnel import by_host, by_rule, funnel
from pipeline.funnel.warnings import NOTES, Warned, find_warnings
from schemas.display import message, percent, to_json


def show_funnel(directory: str) -> None:
    """Print the funnel of a run at a glance: each step, what stayed, how many rejections every rule made; warnings."""
    print_funnel(funnel(directory))
    print_warnings(find_warnings(directory))


def print_warnings(warnings: list[Warned]) -> None:
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


def show(directory: str, by: Literal["rule", "host"], limit: int, as_json: bool) -> None:
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
