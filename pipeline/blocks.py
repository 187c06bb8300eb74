"""Blocks of pages in Arrow batches: the blocks of one kind, and references to images."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import CAPTURE, PAGES, Batches, image_id


def of_kind(pages: pa.ListArray, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each block of a kind, its index in pages.flatten(), its page's row and its index on the page.

    Shape: block lists of n pages (or a slice) in; three int64 arrays of length b out, for b blocks of the kind.
    """
    rows = pc.list_parent_indices(pages).to_numpy()
    at = np.flatnonzero(pc.equal(pc.struct_field(pages.flatten(), "kind"), kind).to_numpy(zero_copy_only=False))
    return at, rows[at], at - np.searchsorted(rows, rows[at])  # rows ascend, so this finds a page's first block


def field(pages: pa.ListArray, name: str, at: np.ndarray) -> pa.Array:
    """Return a field of the blocks at the given indices of pages.flatten()."""
    return pc.struct_field(pages.flatten(), name).take(pa.array(at))


def text_blocks(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, pa.Array]:
    """Return, for each text block of a batch, its page's row, its position on the page as extracted, and its text.

    Shape: three arrays of length b, for b text blocks; int64, int32 and string.
    """
    at, page, _ = of_kind(batch["blocks"], "text")
    return page, batch["positions"].flatten().to_numpy()[at], field(batch["blocks"], "text", at)


def by_page(values: pa.Array, rows: np.ndarray, num_pages: int) -> pa.ListArray:
    """Group values of blocks into a list per page; `rows` holds each value's page, ascending."""
    ends = np.searchsorted(rows, np.arange(num_pages + 1))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


IMAGE_REFS = pa.schema(
    [
        *(PAGES.schema.field(n) for n in CAPTURE),
        pa.field("block", pa.int32()),
        pa.field("image_id", pa.string()),
        pa.field("image_url", pa.string()),
    ]
)


def image_refs(batches: Batches) -> Batches:
    """Turn batches of `pages` into batches of IMAGE_REFS, with one row per image block."""
    for batch in batches:
        at, page, place = of_kind(batch["blocks"], "image")
        urls = field(batch["blocks"], "image_url", at)
        pages = batch.select(IMAGE_REFS.names[:3]).take(pa.array(page))
        ids = pa.array(map(image_id, urls.to_pylist()), pa.string())
        yield pa.RecordBatch.from_arrays([*pages.columns, pa.array(place, pa.int32()), ids, urls], schema=IMAGE_REFS)
