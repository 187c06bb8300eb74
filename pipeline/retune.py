"""Judge pages again by what was measured of them: most bounds can change without another look at any text."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from filters import PAGE_FILTERS
from pipeline.filter import JUDGED_PAGE, held_against, told_measures
from schemas.recipe import Recipe
from schemas.tables import MEASURES, PAGES

_OF_PAGE = ("language", "language_score")
MEASURED = pa.schema(
    [*(f for f in MEASURES.schema if f.name != "reasons"), *(PAGES.schema.field(name) for name in ("url", *_OF_PAGE))]
)
"""What was measured of a page, and what its row says beside its text."""


def can_retune(old: Recipe, new: Recipe) -> bool:
    """Tell whether the measures that were kept under one recipe are enough to judge all pages by another.

    They are not when other paragraphs go, since a page is measured without them; nor where a filter was off before.
    """
    if (old.filters.paragraph, old.filters.lists) != (new.filters.paragraph, new.filters.lists):
        return False
    return all(f.on(old) if f.by_measure else set(f.reads) <= set(_OF_PAGE) for f in PAGE_FILTERS if f.on(new))


def retune_pages(recipe: Recipe, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn batches of MEASURED into batches of JUDGED_PAGE, the paragraphs' rejections left out."""
    active = [f for f in PAGE_FILTERS if f.on(recipe)]
    for batch in batches:
        kept = {f: pc.map_lookup(batch["measures"], f.measure, "first") for f in active if f.by_measure}
        judged = [(f, f.again(kept[f], recipe) if f in kept else f(batch, recipe)) for f in active]
        found = held_against(judged, batch.num_rows)
        yield pa.RecordBatch.from_pydict(
            {
                **{name: batch[name] for name in ("page_id", "warc_file", "warc_offset", "url")},
                "measures": told_measures(judged, batch.num_rows),
                "reasons": [[a["rule"] for a in of_page] for of_page in found],
                "rejected": [[{"level": "page", "block": None, **a} for a in of_page] for of_page in found],
            },
            schema=JUDGED_PAGE,
        )
