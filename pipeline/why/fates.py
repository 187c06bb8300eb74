"""Rows of the ledger as a story tells them: with what the rule means, and without what is not known."""

from collections.abc import Iterable
from typing import Any

from schemas.reasons import BY_CODE

_TOLD = ("step", "rule", "level", "block", "measure", "threshold", "detail")


def fates(rows: Iterable[dict[str, Any]], *levels: str) -> list[dict[str, Any]]:
    """Tell the rejections of some levels, or of all; the same one is told once."""
    told = []
    for row in rows:
        if levels and row["level"] not in levels:
            continue
        known = {name: row[name] for name in _TOLD if row[name] is not None}
        fate = {**known, "meaning": BY_CODE[row["rule"]].meaning if row["rule"] in BY_CODE else ""}
        if fate not in told:
            told.append(fate)
    return told
