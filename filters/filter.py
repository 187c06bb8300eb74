"""A filter as data: the columns it reads, its measure, its reasons, and the pure function that decides."""

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
    """A filter's result for n rows.

    measure: n float64 values, stored so that a threshold can be retuned
    reason:  n reason codes; null keeps the row
    bounds:  the threshold of each reason; without entry if a reason has none
    """

    measure: pa.Array
    reason: pa.Array
    bounds: Mapping[str, float]


def always(recipe: Recipe) -> bool:
    """Return True: the filter is active under every recipe."""
    return True


@dataclass(frozen=True)
class Filter:
    """One filter. `apply` gets only the columns in `reads`, of the table or filters/features.py: no I/O, no clock.

    `on` returns whether the recipe activates the filter; an inactive filter measures nothing, and features that only
    it reads are not computed. `by_measure` decides from stored measures; None if these are not sufficient.
    """

    name: str
    reads: tuple[str, ...]
    measure: str
    reasons: tuple[str, ...]
    source: str
    apply: Callable[[pa.RecordBatch, Recipe], Decision]
    on: Callable[[Recipe], bool] = always
    by_measure: Callable[[pa.Array, Recipe], Decision] | None = None

    def __call__(self, batch: pa.RecordBatch, recipe: Recipe) -> Decision:
        """Apply the filter to a batch and validate the decision.

        Shape:  n rows in, a decision for n rows out, in the same order; n may be 0.
        Raises: SchemaError when a column is missing or the decision is malformed.
        """
        missing = [c for c in self.reads if c not in batch.schema.names]
        if missing:
            raise SchemaError(f"filter {self.name}: the batch lacks {', '.join(missing)}")
        return self._checked(self.apply(batch.select(list(self.reads)), recipe), batch.num_rows)

    def reapply(self, measure: pa.Array, recipe: Recipe) -> Decision:
        """Decide from stored measures (n float64). Raises: SchemaError when the filter needs more than its measure."""
        if self.by_measure is None:
            raise SchemaError(f"filter {self.name}: its measure is not sufficient to decide")
        return self._checked(self.by_measure(measure, recipe), len(measure))

    def _checked(self, decision: Decision, num_rows: int) -> Decision:
        for part, kind in ((decision.measure, pa.float64()), (decision.reason, pa.string())):
            if part.type != kind or len(part) != num_rows:
                raise SchemaError(f"filter {self.name}: {len(part)} {part.type} for {num_rows} rows of {kind}")
        unknown = set(decision.reason.drop_null().unique().to_pylist()) - set(self.reasons)
        if unknown or not CODES.issuperset(self.reasons):
            raise SchemaError(f"filter {self.name}: undeclared reasons: {sorted(unknown)}")
        return decision


@dataclass(frozen=True)
class Threshold:
    """A threshold by its recipe key, such as `filters.text.min_words`, and its reason code.

    A key begins with `min_` or `max_`; the threshold itself is kept.
    """

    key: str
    code: str

    def value(self, recipe: Recipe) -> float | None:
        """Return the threshold in a recipe; None for no limit."""
        value: float | None = attrgetter(self.key)(recipe)
        return value

    def misses(self, measure: pa.Array, value: float) -> pa.Array:
        """Return whether each measure is beyond the threshold `value`."""
        lowest = self.key.rpartition(".")[2].startswith("min_")
        return pc.less(measure, value) if lowest else pc.greater(measure, value)


def threshold_filter(
    name: str,
    reads: tuple[str, ...],
    measure: str,
    thresholds: tuple[Threshold, ...],
    source: str,
    of: Callable[[pa.RecordBatch], pa.Array],
) -> Filter:
    """Make a filter that measures rows by `of` and rejects each by the first threshold it misses.

    It is active if the recipe sets any of the thresholds.
    """

    def apply(batch: pa.RecordBatch, recipe: Recipe) -> Decision:
        return by_measure(of(batch).cast(pa.float64()), recipe)

    def by_measure(values: pa.Array, recipe: Recipe) -> Decision:
        reason = pa.nulls(len(values), pa.string())
        bounds: dict[str, float] = {}
        for threshold in thresholds:
            bound = threshold.value(recipe)
            if bound is not None:
                bounds[threshold.code] = bound
                missed = pc.and_(threshold.misses(values, bound), reason.is_null())
                reason = pc.if_else(missed, threshold.code, reason)
        return Decision(values, reason, bounds)

    def on(recipe: Recipe) -> bool:
        return any(threshold.value(recipe) is not None for threshold in thresholds)

    return Filter(name, reads, measure, tuple(t.code for t in thresholds), source, apply, on, by_measure)
