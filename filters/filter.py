"""A filter is a value: the columns it reads, what it measures, its reasons, and the pure function that decides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import SchemaError
from schemas.reasons import CODES
from schemas.recipe import Recipe


@dataclass(frozen=True)
class Decision:
    """What a filter says of n rows.

    measure: n float64 values, kept so that a threshold can be retuned
    reason:  n reason codes; null keeps the row
    bounds:  the bound that a row missed, by the reason it was given; a reason without a bound is not in it
    """

    measure: pa.Array
    reason: pa.Array
    bounds: Mapping[str, float]


def always(recipe: Recipe) -> bool:
    """Tell that a filter judges under every recipe."""
    return True


@dataclass(frozen=True)
class Filter:
    """One filter. `judge` sees the columns that `reads` names and nothing else: no I/O, no clock, no edits.

    A column is one of the table's or one of filters/views. `on` tells whether the recipe sets any bound: a filter that
    is off neither judges nor measures, and the views that it alone reads are not made. `by_measure` judges by the
    measure alone, where that is enough.
    """

    name: str
    reads: tuple[str, ...]
    measure: str
    reasons: tuple[str, ...]
    source: str
    judge: Callable[[pa.RecordBatch, Recipe], Decision]
    on: Callable[[Recipe], bool] = always
    by_measure: Callable[[pa.Array, Recipe], Decision] | None = None

    def __call__(self, batch: pa.RecordBatch, recipe: Recipe) -> Decision:
        """Judge a batch, and check the verdict: a filter cannot drop, reorder or invent rows unseen.

        Shape:  n rows in, n verdicts out, same order; n may be 0.
        Raises: SchemaError when a column is missing or the verdict is malformed.
        """
        missing = [c for c in self.reads if c not in batch.schema.names]
        if missing:
            raise SchemaError(f"filter {self.name}: the batch lacks {', '.join(missing)}")
        return self._checked(self.judge(batch.select(list(self.reads)), recipe), batch.num_rows)

    def again(self, measure: pa.Array, recipe: Recipe) -> Decision:
        """Judge by what was measured before: n float64 to n verdicts. Raises: SchemaError where that is not enough."""
        if self.by_measure is None:
            raise SchemaError(f"filter {self.name}: its measure alone does not tell")
        return self._checked(self.by_measure(measure, recipe), len(measure))

    def _checked(self, verdict: Decision, num_rows: int) -> Decision:
        for part, kind in ((verdict.measure, pa.float64()), (verdict.reason, pa.string())):
            if part.type != kind or len(part) != num_rows:
                raise SchemaError(f"filter {self.name}: {len(part)} {part.type} for {num_rows} rows of {kind}")
        unknown = set(verdict.reason.drop_null().unique().to_pylist()) - set(self.reasons)
        if unknown or not CODES.issuperset(self.reasons):
            raise SchemaError(f"filter {self.name}: reasons that it did not declare: {sorted(unknown)}")
        return verdict


@dataclass(frozen=True)
class Threshold:
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


def threshold_filter(
    name: str,
    reads: tuple[str, ...],
    measure: str,
    bounds: tuple[Threshold, ...],
    source: str,
    of: Callable[[pa.RecordBatch], pa.Array],
) -> Filter:
    """Make a filter that measures each row and rejects it by the first bound that it misses; on when any is set."""

    def judge(batch: pa.RecordBatch, recipe: Recipe) -> Decision:
        return by_measure(of(batch).cast(pa.float64()), recipe)

    def by_measure(values: pa.Array, recipe: Recipe) -> Decision:
        reason = pa.nulls(len(values), pa.string())
        met: dict[str, float] = {}
        for bound in bounds:
            limit = bound.value(recipe)
            if limit is not None:
                met[bound.code] = limit
                missed = pc.and_(bound.misses(values, limit), reason.is_null())
                reason = pc.if_else(missed, bound.code, reason)
        return Decision(values, reason, met)

    def on(recipe: Recipe) -> bool:
        return any(bound.value(recipe) is not None for bound in bounds)

    return Filter(name, reads, measure, tuple(b.code for b in bounds), source, judge, on, by_measure)
