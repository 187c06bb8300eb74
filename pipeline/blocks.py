"""Blocks of pages in Arrow batches: where those of one kind are, and which images they use."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import CAPTURE, PAGES, Batches, image_id


def of_kind(pages: pa.ListArray, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the index in pages.flatten(), the page's row and the place among its blocks of every block of a kind.

    Shape: lists of blocks of n pages, or a slice of such, in; b of each, int64, out, for b blocks of the kind.
    """
    rows = pc.list_parent_indices(pages).to_numpy()
    at = np.flatnonzero(pc.equal(pc.struct_field(pages.flatten(), "kind"), kind).to_numpy(zero_copy_only=False))
    return at, rows[at], at - np.searchsorted(rows, rows[at])  # rows grow: a page's first block is found so


def field(pages: pa.ListArray, name: str, at: np.ndarray) -> pa.Array:
    """Return a field of the blocks at some indices of pages.flatten()."""
    return pc.struct_field(pages.flatten(), name).take(pa.array(at))


def text_blocks(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, pa.Array]:
    """Return the page's row, the position on the page as extracted, and the text of every text block of a batch.

    Shape: b of each, for b text blocks; int64, int32 and string.
    """
    at, page, _ = of_kind(batch["blocks"], "text")
    return page, batch["positions"].flatten().to_numpy()[at], field(batch["blocks"], "text", at)


def by_page(values: pa.Array, rows: np.ndarray, num_pages: int) -> pa.ListArray:
    """Return values of blocks as a list for each page; rows are their pages', in order. A page without has none."""
    ends = np.searchsorted(rows, np.arange(num_pages + 1))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


USES = pa.schema(
    [
        *(PAGES.schema.field(n) for n in CAPTURE),
        pa.field("block", pa.int32()),
        pa.field("image_id", pa.string()),
        pa.field("image_url", pa.string()),
    ]
)


def image_uses(batches: Batches) -> Batches:
    """Turn batches of `pages` into a row of USES for each image block."""
    for batch in batches:
        at, page, place = of_kind(batch["blocks"], "image")
        urls = field(batch["blocks"], "image_url", at)
        pages = batch.select(USES.names[:3]).take(pa.array(page))
        ids = pa.array(map(image_id, urls.to_pylist()), pa.string())
        yield pa.RecordBatch.from_arrays([*pages.columns, pa.array(place, pa.int32()), ids, urls], schema=USES)
