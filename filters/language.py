"""Keep pages of the wanted languages, recognised surely enough."""

import pyarrow as pa

from filters.verdict import Filter, Verdict
from schemas.recipe import Recipe


def _judge(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
    keep, bound = recipe.filters.language.keep, recipe.filters.language.min_score
    scores = batch["language_score"].cast(pa.float64())
    reasons: list[str | None] = []
    for language, score in zip(batch["language"].to_pylist(), scores.to_pylist(), strict=True):
        if keep and language not in keep:
            reasons.append("WRONG_LANGUAGE")
        else:
            reasons.append("LANGUAGE_UNSURE" if score < bound else None)
    return Verdict(scores, pa.array(reasons, pa.string()), bound)


FILTER = Filter(
    name="language",
    reads=("language", "language_score"),
    measure="language_score",
    reasons=("WRONG_LANGUAGE", "LANGUAGE_UNSURE"),
    source='"Language Is Not All You Need", arXiv 2302.14045, section 3.1: English pages; the bound is OBELICS\' .8',
    judge=_judge,
)
"""Reject by language.

Reads:   language string (ISO 639), language_score float32 [0 to 1].
Writes:  language_score.
Rejects: WRONG_LANGUAGE when the language is not among filters.language.keep (if any are named);
         LANGUAGE_UNSURE when the score is below filters.language.min_score.
"""
