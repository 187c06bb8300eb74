"""A recipe that enables every filter, and a helper that applies one filter."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters.features import Resources, with_features
from filters.filter import Decision, Filter
from filters.words import ENGLISH
from jobs.recipes import load
from pipeline.filter import read_words
from schemas.recipe import Recipe, TextBounds

LISTS = Path(__file__).parent.parent / "cases" / "filters" / "lists"
WORDS = {f"{name}_words": read_words(str(LISTS / f"{name}.txt")) for name in ("common", "flagged", "spam")}
# As perplexity the cases take the length of a text; test_filters_aids.py asks a real model.
AIDS = Resources({"stop_words": ENGLISH, **WORDS}, lambda texts: pc.utf8_length(texts).cast(pa.float64()))
TO_SET = [f"filters.lists.{name}={LISTS / name.partition('_')[0]}.txt" for name in WORDS] + [
    "filters.lists.kenlm=unread",
    "filters.caption.min_characters=5",
    "filters.image.url_tokens=[logo, icon]",
    "assemble.min_document_images=1",
    "assemble.max_document_images=3",
    "assemble.min_words_per_image=2",
]


def every_threshold(value: float = 0.0) -> Recipe:
    """Set every threshold of the text filters, for pages and paragraphs."""
    keys = [key for key in TextBounds.model_fields if key != "max_perplexity"]
    bounds = [f"filters.{level}.{key}={value:g}" for level in ("text", "paragraph") for key in keys]
    return load("kosmos1", [*bounds, *TO_SET, "filters.text.max_perplexity=9", "filters.paragraph.max_perplexity=9"])


def decisions(filter: Filter, rows: list[dict[str, Any]], schema: pa.Schema, recipe: Recipe) -> Decision:
    """Apply one filter to rows, with the features that it reads."""
    return filter(with_features(pa.RecordBatch.from_pylist(rows, schema=schema), [filter], AIDS), recipe)
