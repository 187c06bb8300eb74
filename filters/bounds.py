"""Filters that compare one measure with bounds of the recipe: most are nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

import pyarrow as pa
import pyarrow.compute as pc

from filters.verdict import Filter, Verdict
from schemas.recipe import Recipe


@dataclass(frozen=True)
class Bound:
    """A bound by its place in the recipe, as `filters.text.min_words`, and the reason of a row that misses it.

    What a key begins with says what it does: `min_` and `max_` name the last value that is kept.
    """

    key: str
    code: str

    def value(self, recipe: Recipe) -> float | None:
        """Return the bound that a recipe sets; None when it sets none."""
        found: float | None = attrgetter(self.key)(recipe)
        return found

    def misses(self, measure: pa.Array, value: float) -> pa.Array:
        """Tell of each measure whether it lies beyond the bound."""
        lowest = self.key.rpartition(".")[2].startswith("min_")
        return pc.less(measure, value) if lowest else pc.greater(measure, value)


def bounded(
    name: str,
    reads: tuple[str, ...],
    measure: str,
    bounds: tuple[Bound, ...],
    source: str,
    of: Callable[[pa.RecordBatch], pa.Array],
) -> Filter:
    """Make a filter that measures each row and rejects it by the first bound that it misses; on when any is set."""

    def judge(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
        return by_measure(of(batch).cast(pa.float64()), recipe)

    def by_measure(values: pa.Array, recipe: Recipe) -> Verdict:
        reason = pa.nulls(len(values), pa.string())
        met: dict[str, float] = {}
        for bound in bounds:
            limit = bound.value(recipe)
            if limit is not None:
                met[bound.code] = limit
                missed = pc.and_(bound.misses(values, limit), reason.is_null())
                reason = pc.if_else(missed, bound.code, reason)
        return Verdict(values, reason, met)

    def on(recipe: Recipe) -> bool:
        return any(bound.value(recipe) is not None for bound in bounds)

    return Filter(name, reads, measure, tuple(b.code for b in bounds), source, judge, on, by_measure)
