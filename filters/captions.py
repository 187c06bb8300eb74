"""Keep alt texts that say something."""

import pyarrow as pa

from filters.verdict import Filter, Verdict, below
from filters.words import WORD, count
from schemas.recipe import Recipe


def _judge(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
    return below(count(batch["caption"], WORD), recipe.filters.caption.min_words, "SHORT_CAPTION")


FILTER = Filter(
    name="caption_length",
    reads=("caption",),
    measure="num_words",
    reasons=("SHORT_CAPTION",),
    source="DataComp, arXiv 2304.14108, basic filtering: more than two words",
    judge=_judge,
)
"""Reject captions of too few words.

Reads:   caption string, not null.
Writes:  num_words.
Rejects: SHORT_CAPTION when num_words < filters.caption.min_words.
"""
