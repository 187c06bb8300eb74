"""Run filters over Arrow batches: every measure kept, every reason recorded."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import PAGE_FILTERS, PARAGRAPH_FILTERS, Aids, Filter, with_views
from filters.verdict import Verdict
from pipeline.aids import aids
from pipeline.blocks import by_page, field, of_kind
from schemas.recipe import Recipe
from schemas.tables import MEASURES, PAGES

_AGAINST = (("rule", pa.string()), ("measure", pa.float64()), ("threshold", pa.float64()))
REJECTED = pa.list_(pa.struct(_AGAINST))
"""What speaks against a row."""

REJECTED_PAGE = pa.list_(pa.struct([("level", pa.string()), ("block", pa.int32()), *_AGAINST]))
"""What speaks against a page, and against its paragraphs: these have the index of their block."""

JUDGED_PAGE = pa.schema([*MEASURES.schema, PAGES.schema.field("url"), pa.field("rejected", REJECTED_PAGE)])
Batches = Iterator[pa.RecordBatch]
Against = list[dict[str, Any]]


def judge(
    batch: pa.RecordBatch, filters: Sequence[Filter], recipe: Recipe, aids: Aids | None = None
) -> list[tuple[Filter, Verdict]]:
    """Judge every row by every filter that is on; each view that they read is made once.

    Shape: n rows in, n rows in each verdict, same order.
    """
    active = [filter for filter in filters if filter.on(recipe)]
    seen = with_views(batch, active, aids or Aids())
    return [(filter, filter(seen, recipe)) for filter in active]


def held_against(judged: Sequence[tuple[Filter, Verdict]], num_rows: int) -> list[Against]:
    """Return what speaks against each row, from every filter; a row that none rejected has nothing, and stays."""
    found: list[Against] = [[] for _ in range(num_rows)]
    for _, verdict in judged:
        for row in np.flatnonzero(verdict.reason.is_valid().to_numpy(zero_copy_only=False)).tolist():
            reason = verdict.reason[row].as_py()
            found[row].append(
                {"rule": reason, "measure": verdict.measure[row].as_py(), "threshold": verdict.bounds.get(reason)}
            )
    return found


def told_measures(judged: Sequence[tuple[Filter, Verdict]], num_rows: int) -> pa.MapArray:
    """Return what was measured on each row, by name."""
    ends = pa.array(np.arange(num_rows + 1) * len(judged), pa.int32())
    names = pa.array([filter.measure for filter, _ in judged] * num_rows, pa.string())
    values = np.array([verdict.measure.to_numpy() for _, verdict in judged]).T.ravel()
    return pa.MapArray.from_arrays(ends, names, pa.array(values, pa.float64()))


def text_of(blocks: list[dict[str, Any]]) -> str:
    """Join the text blocks of a page, a blank line between them."""
    return "\n\n".join(b["text"] for b in blocks if b["kind"] == "text")


def judge_pages(recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of `pages` into batches of JUDGED_PAGE.

    Paragraphs are judged first; a page is judged by what they leave of it.
    """

    def run(batches: Batches) -> Batches:
        known = aids(recipe.filters.lists)
        for batch in batches:
            at, owners, places = of_kind(batch["blocks"], "text")
            texts = field(batch["blocks"], "text", at)
            rejected: list[Against] = [[] for _ in range(batch.num_rows)]
            judged = judge(pa.record_batch({"text": texts}), PARAGRAPH_FILTERS, recipe, known)
            stays = np.ones(len(texts), np.bool_)
            for index, found in enumerate(held_against(judged, len(texts)) if judged else ()):
                stays[index] = not found
                rejected[owners[index]] += [{"level": "paragraph", "block": int(places[index]), **a} for a in found]
            left = by_page(texts.filter(pa.array(stays)), owners[stays], batch.num_rows)
            text = pc.binary_join(left, "\n\n")  # as text_of
            judged = judge(batch.append_column("text", text), PAGE_FILTERS, recipe, known)
            of_pages = held_against(judged, batch.num_rows)
            for all_found, found in zip(rejected, of_pages, strict=True):
                all_found += [{"level": "page", "block": None, **a} for a in found]
            yield pa.RecordBatch.from_pydict(
                {
                    **{name: batch[name] for name in ("page_id", "warc_file", "warc_offset", "url")},
                    "measures": told_measures(judged, batch.num_rows),
                    "reasons": [[a["rule"] for a in found] for found in of_pages],
                    "rejected": rejected,
                },
                schema=JUDGED_PAGE,
            )

    return run


def judge_rows(filters: Sequence[Filter], recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that turns batches, of captions or of images, into themselves with a column `rejected`."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            found = held_against(judge(batch, filters, recipe), batch.num_rows)
            yield batch.append_column("rejected", pa.array(found, REJECTED))

    return run
