"""A filter is a value: what it reads, what it measures, why it rejects, and the pure function that judges."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from schemas.errors import SchemaError
from schemas.reasons import CODES
from schemas.recipe import Recipe


@dataclass(frozen=True)
class Verdict:
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
    judge: Callable[[pa.RecordBatch, Recipe], Verdict]
    on: Callable[[Recipe], bool] = always
    by_measure: Callable[[pa.Array, Recipe], Verdict] | None = None

    def __call__(self, batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
        """Judge a batch, and check the verdict: a filter cannot drop, reorder or invent rows unseen.

        Shape:  n rows in, n verdicts out, same order; n may be 0.
        Raises: SchemaError when a column is missing or the verdict is malformed.
        """
        missing = [c for c in self.reads if c not in batch.schema.names]
        if missing:
            raise SchemaError(f"filter {self.name}: the batch lacks {', '.join(missing)}")
        return self._checked(self.judge(batch.select(list(self.reads)), recipe), batch.num_rows)

    def again(self, measure: pa.Array, recipe: Recipe) -> Verdict:
        """Judge by what was measured before: n float64 to n verdicts. Raises: SchemaError where that is not enough."""
        if self.by_measure is None:
            raise SchemaError(f"filter {self.name}: its measure alone does not tell")
        return self._checked(self.by_measure(measure, recipe), len(measure))

    def _checked(self, verdict: Verdict, num_rows: int) -> Verdict:
        for part, kind in ((verdict.measure, pa.float64()), (verdict.reason, pa.string())):
            if part.type != kind or len(part) != num_rows:
                raise SchemaError(f"filter {self.name}: {len(part)} {part.type} for {num_rows} rows of {kind}")
        unknown = set(verdict.reason.drop_null().unique().to_pylist()) - set(self.reasons)
        if unknown or not CODES.issuperset(self.reasons):
            raise SchemaError(f"filter {self.name}: reasons that it did not declare: {sorted(unknown)}")
        return verdict
