"""Which rules drop more of what a step judged than the recipe's guard lets them."""

from collections.abc import Mapping

from schemas.display import percent
from schemas.reasons import BY_CODE
from schemas.recipe.guard import Guard

ADVICE = (
    "Change the recipe, or raise the rule's bound by --set guard.rules.RULE=FRACTION, and run again; "
    "--set guard.action=warn goes on"
)


def excessive(judged: Mapping[str, int], rejected: Mapping[str, int], guard: Guard) -> list[str]:
    """Return a sentence for each rule that dropped more than its bound, the worst first.

    Args: judged is by level or by rule, as in Manifest; a level that nobody counted has no bound.
    """
    found = []
    for rule, dropped in rejected.items():
        total, bound = judged.get(rule, judged.get(BY_CODE[rule].level, 0)), guard.bound(rule)
        if bound is not None and total >= guard.min_judged and dropped > bound * total:
            found.append((dropped / total, rule, dropped, total, bound))
    return [
        f"{rule} drops {percent(dropped, total)} of what was judged ({dropped:,} of {total:,} {BY_CODE[rule].level}s), "
        f"more than {'guard.rules.' + rule if rule in guard.rules else 'guard.max_dropped_fraction'}={bound:g}"
        for _, rule, dropped, total, bound in sorted(found, reverse=True)
    ]


def of_level(rejected: Mapping[str, int], level: str) -> int:
    """Count the rejections of a level, where each thing is rejected once."""
    return sum(n for rule, n in rejected.items() if BY_CODE[rule].level == level)
