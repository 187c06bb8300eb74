"""Image filters before any request: URLs of decorative images, and uninformative captions."""

import pyarrow as pa
import pyarrow.compute as pc

from filters.filter import Decision, Filter, Threshold, threshold_filter
from filters.words import WORD, count
from schemas.recipe import Recipe


def _apply(batch: pa.RecordBatch, recipe: Recipe) -> Decision:
    counts = pa.repeat(pa.scalar(0, pa.int32()), batch.num_rows)
    for token in recipe.filters.image.url_tokens:
        counts = pc.add(counts, pc.count_substring(batch["image_url"], token, ignore_case=True))
    reason = pc.if_else(pc.greater(counts, 0), "URL_TOKEN", pa.scalar(None, pa.string()))
    return Decision(counts.cast(pa.float64()), reason, {"URL_TOKEN": 0.0})


FILTER = Filter(
    name="url_tokens",
    reads=("image_url",),
    measure="num_url_tokens",
    reasons=("URL_TOKEN",),
    source="MMC4, arXiv 2304.06939, section 2: URLs with logo, button, icon, plugin or widget",
    apply=_apply,
    on=lambda recipe: bool(recipe.filters.image.url_tokens),
)
"""Reject image URLs that contain certain words.

Reads:   image_url string.
Writes:  num_url_tokens, occurrences of filters.image.url_tokens anywhere in it, ignoring case.
Rejects: URL_TOKEN when there are any.
"""


SOURCE = "DataComp, arXiv 2304.14108, basic filtering: more than two words, more than five characters"

WORDS = threshold_filter(
    "caption_length",
    ("caption",),
    "num_words",
    (Threshold("filters.caption.min_words", "SHORT_CAPTION"),),
    SOURCE,
    lambda batch: count(batch["caption"], WORD),
)
"""Reject captions with too few words: SHORT_CAPTION when num_words < filters.caption.min_words."""

CHARACTERS = threshold_filter(
    "caption_characters",
    ("caption",),
    "num_characters",
    (Threshold("filters.caption.min_characters", "FEW_CAPTION_CHARACTERS"),),
    SOURCE,
    lambda batch: pc.utf8_length(batch["caption"]),
)
"""Reject captions with too few code points: FEW_CAPTION_CHARACTERS when below filters.caption.min_characters."""
