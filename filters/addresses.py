"""Drop images whose address says that they are no pictures, before they are asked for."""

import pyarrow as pa
import pyarrow.compute as pc

from filters.verdict import Filter, Verdict
from schemas.recipe import Recipe


def _judge(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
    number = pa.repeat(pa.scalar(0, pa.int32()), batch.num_rows)
    for token in recipe.filters.image.url_tokens:
        number = pc.add(number, pc.count_substring(batch["image_url"], token, ignore_case=True))
    reason = pc.if_else(pc.greater(number, 0), "URL_TOKEN", pa.scalar(None, pa.string()))
    return Verdict(number.cast(pa.float64()), reason, {"URL_TOKEN": 0.0})


FILTER = Filter(
    name="url_tokens",
    reads=("image_url",),
    measure="num_url_tokens",
    reasons=("URL_TOKEN",),
    source="MMC4, arXiv 2304.06939, section 2: addresses with logo, button, icon, plugin or widget",
    judge=_judge,
    on=lambda recipe: bool(recipe.filters.image.url_tokens),
)
"""Reject image addresses by what they say.

Reads:   image_url string.
Writes:  num_url_tokens, how often filters.image.url_tokens occur in it, whatever their case and wherever they stand.
Rejects: URL_TOKEN when any does.
"""
