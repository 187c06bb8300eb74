"""A filter is a value: what it reads, what it measures, why it rejects, and the pure function that judges."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from schemas.errors import SchemaError
from schemas.reasons import CODES
from schemas.recipe import Recipe


@dataclass(frozen=True)
class Verdict:
    """What a filter says of n rows.

    measure:   n float64 values, kept so that a threshold can be retuned
    reason:    n reason codes; null keeps the row
    threshold: the bound that a rejected row missed; None where the rule has none
    """

    measure: pa.Array
    reason: pa.Array
    threshold: float | None


@dataclass(frozen=True)
class Filter:
    """One filter. `judge` sees the columns that `reads` names and nothing else: no I/O, no clock, no edits."""

    name: str
    reads: tuple[str, ...]
    measure: str
    reasons: tuple[str, ...]
    source: str
    judge: Callable[[pa.RecordBatch, Recipe], Verdict]

    def __call__(self, batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
        """Judge a batch, and check the verdict: a filter cannot drop, reorder or invent rows unseen.

        Shape:  n rows in, n verdicts out, same order; n may be 0.
        Raises: SchemaError when a column is missing or the verdict is malformed.
        """
        missing = [c for c in self.reads if c not in batch.schema.names]
        if missing:
            raise SchemaError(f"filter {self.name}: the batch lacks {', '.join(missing)}")
        verdict = self.judge(batch.select(list(self.reads)), recipe)
        for part, kind in ((verdict.measure, pa.float64()), (verdict.reason, pa.string())):
            if part.type != kind or len(part) != batch.num_rows:
                raise SchemaError(f"filter {self.name}: {len(part)} {part.type} for {batch.num_rows} rows of {kind}")
        unknown = set(verdict.reason.drop_null().unique().to_pylist()) - set(self.reasons)
        if unknown or not CODES.issuperset(self.reasons):
            raise SchemaError(f"filter {self.name}: reasons that it did not declare: {sorted(unknown)}")
        return verdict


def above(measure: pa.Array, bound: float | None, code: str) -> Verdict:
    """Reject with `code` where the measure is above the bound; a missing bound keeps every row."""
    return _bounded(measure, bound, code, lambda value, limit: value > limit)


def below(measure: pa.Array, bound: float | None, code: str) -> Verdict:
    """Reject with `code` where the measure is below the bound; a missing bound keeps every row."""
    return _bounded(measure, bound, code, lambda value, limit: value < limit)


def _bounded(measure: pa.Array, bound: float | None, code: str, missed: Callable[[float, float], bool]) -> Verdict:
    reasons = [code if bound is not None and missed(v, bound) else None for v in measure.to_pylist()]
    return Verdict(measure.cast(pa.float64()), pa.array(reasons, pa.string()), bound)
