"""Document filters: rules for the interleaved form of a page without its dropped images."""

import pyarrow as pa

from filters.filter import Decision, Filter, Threshold, threshold_filter
from filters.words import per
from schemas.recipe import Recipe
from schemas.tables import fraction

SOURCE = '"Language Is Not All You Need", arXiv 2302.14045, section 3.1'


def interspersed_fraction(kinds: list[str]) -> float:
    """Return the fraction of 'image' blocks with a 'text' block directly before or after; 0 without images."""
    images = [i for i, kind in enumerate(kinds) if kind == "image"]
    adjacent = [i for i in images if "text" in (*kinds[max(i - 1, 0) : i], *kinds[i + 1 : i + 2])]
    return len(adjacent) / len(images) if images else 0.0


def _interspersed(batch: pa.RecordBatch) -> pa.Array:
    return pa.array([interspersed_fraction(k) for k in batch["kinds"].to_pylist()], pa.float64())


def _num_images(batch: pa.RecordBatch) -> pa.Array:
    return pa.array([kinds.count("image") for kinds in batch["kinds"].to_pylist()], pa.int32())


def _sample_single(batch: pa.RecordBatch, recipe: Recipe) -> Decision:
    keep = recipe.assemble.single_image_keep_fraction
    coins, reasons = [], []
    for page, kinds in zip(batch["page_id"].to_pylist(), batch["kinds"].to_pylist(), strict=True):
        coins.append(fraction(recipe.seed, "single-image", page))
        reasons.append("SINGLE_IMAGE" if kinds.count("image") == 1 and coins[-1] >= keep else None)
    return Decision(pa.array(coins, pa.float64()), pa.array(reasons, pa.string()), {"SINGLE_IMAGE": keep})


INTERSPERSED = threshold_filter(
    "interspersed",
    ("kinds",),
    "interspersed_fraction",
    (Threshold("assemble.min_interspersed_fraction", "NOT_INTERSPERSED"),),
    SOURCE,
    _interspersed,
)
"""Reject galleries, whose images are not adjacent to text.

Reads:   kinds list<string>, 'text' or 'image' in reading order.
Writes:  interspersed_fraction [0 to 1].
Rejects: NOT_INTERSPERSED when below assemble.min_interspersed_fraction. The paper requires interspersed images without
         defining a measure; this one is Weft's.
"""

SINGLE_IMAGE = Filter("single_image", ("page_id", "kinds"), "coin", ("SINGLE_IMAGE",), SOURCE, _sample_single)
"""Drop a fraction of the documents with one image, so that documents with several images weigh more.

Reads:   page_id string, kinds list<string>.
Writes:  coin [0 to 1), a hash of the page's id and the recipe's seed, so the same in every run.
Rejects: SINGLE_IMAGE when there is one image and coin >= assemble.single_image_keep_fraction.
"""

NUM_IMAGES = threshold_filter(
    "num_images",
    ("kinds",),
    "num_images",
    (
        Threshold("assemble.min_document_images", "FEW_IMAGES"),
        Threshold("assemble.max_document_images", "MANY_IMAGES"),
    ),
    "OmniCorpus, arXiv 2406.08418: at least two images; OBELICS, arXiv 2306.16527: 1 to 30",
    _num_images,
)
"""Reject documents with too few or too many images.

Reads:   kinds list<string>.
Writes:  num_images.
Rejects: FEW_IMAGES below assemble.min_document_images, MANY_IMAGES above assemble.max_document_images. Applies after
         assemble.max_images has dropped a document's surplus images.
"""

WORDS_PER_IMAGE = threshold_filter(
    "words_per_image",
    ("kinds", "num_words"),
    "words_per_image",
    (Threshold("assemble.min_words_per_image", "TOO_LITTLE_TEXT"),),
    "OmniCorpus, arXiv 2406.08418, limits the ratio of text to images; words are Weft's unit",
    lambda batch: per(batch["num_words"], _num_images(batch)),
)
"""Reject documents with little text for their images.

Reads:   kinds list<string>; num_words, see filters/words.py.
Writes:  words_per_image; for a document without images, its words.
Rejects: TOO_LITTLE_TEXT when below assemble.min_words_per_image.
"""
