"""Keep pages of the wanted languages, recognised surely enough."""

import pyarrow as pa
import pyarrow.compute as pc

from filters.verdict import Filter, Verdict
from schemas.recipe import Recipe


def _judge(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
    keep, bound = recipe.filters.language.keep, recipe.filters.language.min_score
    scores = batch["language_score"].cast(pa.float64())
    reason = pc.if_else(pc.less(scores, bound), "LANGUAGE_UNSURE", pa.scalar(None, pa.string()))
    if keep:
        wanted = pc.is_in(batch["language"], pa.array(keep, pa.string()))
        reason = pc.if_else(wanted, reason, "WRONG_LANGUAGE")
    return Verdict(scores, reason, {"LANGUAGE_UNSURE": bound})


def _on(recipe: Recipe) -> bool:
    return bool(recipe.filters.language.keep) or recipe.filters.language.min_score > 0


FILTER = Filter(
    name="language",
    reads=("language", "language_score"),
    measure="language_score",
    reasons=("WRONG_LANGUAGE", "LANGUAGE_UNSURE"),
    source='"Language Is Not All You Need", arXiv 2302.14045, section 3.1: English pages; the bound is OBELICS\' .8',
    judge=_judge,
    on=_on,
)
"""Reject by language.

Reads:   language string (ISO 639), language_score float32 [0 to 1].
Writes:  language_score.
Rejects: WRONG_LANGUAGE when the language is not among filters.language.keep (if any are named);
         LANGUAGE_UNSURE when the score is below filters.language.min_score.
"""
