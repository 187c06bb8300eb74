"""Keep alt texts that say something."""

import pyarrow.compute as pc

from filters.bounds import Bound, bounded
from filters.words import WORD, count

SOURCE = "DataComp, arXiv 2304.14108, basic filtering: more than two words, more than five characters"

WORDS = bounded(
    "caption_length",
    ("caption",),
    "num_words",
    (Bound("filters.caption.min_words", "SHORT_CAPTION"),),
    SOURCE,
    lambda batch: count(batch["caption"], WORD),
)
"""Reject captions of too few words: SHORT_CAPTION when num_words < filters.caption.min_words."""

CHARACTERS = bounded(
    "caption_characters",
    ("caption",),
    "num_characters",
    (Bound("filters.caption.min_characters", "FEW_CAPTION_CHARACTERS"),),
    SOURCE,
    lambda batch: pc.utf8_length(batch["caption"]),
)
"""Reject captions of too few code points: FEW_CAPTION_CHARACTERS when below filters.caption.min_characters."""
