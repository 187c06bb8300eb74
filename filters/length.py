"""Keep pages with enough words."""

import pyarrow as pa

from filters.verdict import Filter, Verdict, below
from filters.words import WORD, count
from schemas.recipe import Recipe


def _judge(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
    return below(count(batch["text"], WORD), recipe.filters.text.min_words, "TOO_SHORT")


FILTER = Filter(
    name="length",
    reads=("text",),
    measure="num_words",
    reasons=("TOO_SHORT",),
    source="OBELICS, arXiv 2306.16527, appendix A.1: at least 10 words",
    judge=_judge,
)
"""Reject pages too short to teach.

Reads:   text string, not null.
Writes:  num_words, see filters/words.py.
Rejects: TOO_SHORT when num_words < filters.text.min_words.
"""
