"""The funnel: step by step and rule by rule, what came in, what was taken, and what went on."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline.funnel.taken import Numbers, ledger, taken
from pipeline.lookup import Lookup
from schemas.errors import PathError
from schemas.reasons import BY_CODE
from schemas.tables import LEVELS

DIGITS = 3  # of a measure, so that there are few different ones: a median needs them all
UNORDERED = ("HTTP_STATUS",)  # what these rules measure has no order: of it there is neither a bound nor a median
_IN_DOCUMENTS = ("assemble", "image")  # judged once for each place where a document has it


def funnel(directory: str) -> list[dict[str, Any]]:
    """List the finished steps in order, as their manifests tell: counts, rejections by rule, seconds.

    Empty for a bare shards folder.
    """
    try:
        run = Lookup(directory)
    except PathError:
        return []
    return [
        {"step": m.step, "counts": m.counts, "judged": m.judged, "rejected": m.rejected, "notes": m.notes,
         "seconds": m.seconds}
        for m in run.manifests.values()
    ]  # fmt: skip


def by_rule(directory: str, limit: int) -> list[dict[str, Any]]:
    """List what every step did to each kind of thing, from the ledger.

    `in` and `out` are null where nobody counted what came in. `before` is how many went between the last step that had
    such things and this one, without a rule of their own: with their page or image, or as equal to another.
    Of the rules those that dropped most are listed, up to a limit.
    Raises: PathError when nothing of a run is there.
    """
    run = Lookup(directory)
    rows: list[dict[str, Any]] = []
    last: dict[str, int] = {}
    for row in (row for step in run.manifests for row in _of_step(run, step, limit)):
        name, came = row["things"], row["in"]
        before = last[name] - came if came is not None and name in last else None
        rows.append({**row, "before": before})
        if came is not None:
            last[name] = row["out"]
    return rows


def _of_step(run: Lookup, step: str, limit: int) -> Iterator[dict[str, Any]]:
    judged = run.manifests[step].judged
    things: Counter[str] = Counter()
    rules: dict[str, Counter[str]] = defaultdict(Counter)
    of_rule: dict[str, str] = {}
    for counted in (c for of_file in taken(run, step, judged) for c in of_file):
        things[counted.of] += counted.things
        rules[counted.rule].update(dropped=counted.dropped, alone=counted.alone)
        of_rule[counted.rule] = counted.of
    measures = _measures(run, step)
    for of in sorted({*things, *judged}, key=_order):
        came, gone = judged.get(of), things[of]
        told = [
            {
                "rule": rule,
                "dropped": counts["dropped"],
                "alone": counts["alone"],
                "fraction": round(counts["dropped"] / came, 4) if came else None,
                **measures[rule],
            }
            for rule, counts in sorted(rules.items(), key=lambda item: (-item[1]["dropped"], item[0]))
            if of_rule[rule] == of
        ]
        out = came - gone if came is not None else None
        yield {"step": step, "things": _name(step, of), "in": came, "taken": gone, "out": out,
               "num_rules": len(told), "rules": told[:limit]}  # fmt: skip


def _order(of: str) -> int:
    """Sort levels as schemas/tables.py lists them, and a rule with something of its own before its level."""
    return 2 * LEVELS.index(of) if of in LEVELS else 2 * LEVELS.index(BY_CODE[of].level) - 1


def _name(step: str, of: str) -> str:
    level = of if of in LEVELS else BY_CODE[of].level
    return "images in documents" if (step, of) == _IN_DOCUMENTS else f"{level}s"


def _measures(run: Lookup, step: str) -> dict[str, dict[str, float | None]]:
    """Return the median of what each rule measured of what it dropped, and its bound; None where there is none."""
    values: dict[str, Counter[float]] = defaultdict(Counter)
    bounds: dict[str, set[float | None]] = defaultdict(set)
    for table in ledger(run, step):
        for rule in pc.unique(table["rule"]).to_pylist():
            mine = table.filter(pc.equal(table["rule"], rule))
            bounds[rule].update(pc.unique(mine["threshold"]).to_pylist())
            if rule not in UNORDERED:
                found, counts = np.unique(_rounded(mine["measure"].drop_null().to_numpy()), return_counts=True)
                values[rule].update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    return {rule: {"median": _median(values[rule]), "threshold": _bound(rule, bounds[rule])} for rule in bounds}


def _bound(rule: str, bounds: set[float | None]) -> float | None:
    """Return the bound of a rule; None where it has none, or one for each thing, or one that is no quantity."""
    return None if rule in UNORDERED or len(bounds) > 1 else _as_written(*bounds)


def _as_written(bound: float | None) -> float | None:
    """Undo what a detour over float32 does to a bound: 0.60000002."""
    return None if bound is None else float(f"{bound:.6g}")


def _rounded(values: Numbers) -> Numbers:
    magnitude = np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros_like(values)))
    scale = 10.0 ** (DIGITS - 1 - magnitude)
    rounded: Numbers = np.round(np.round(values * scale) / scale, 12)
    return rounded


def _median(counts: Counter[float]) -> float | None:
    """Return the lower median of values, each as often as counted."""
    half, seen = (counts.total() + 1) // 2, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= half:
            return value
    return None
