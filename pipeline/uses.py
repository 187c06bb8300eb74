"""Which images a page's blocks use, and where."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.ids import image_id
from schemas.tables import PAGES

USES = pa.schema(
    [
        *(PAGES.schema.field(n) for n in ("page_id", "warc_file", "warc_offset")),
        pa.field("block", pa.int32()),
        pa.field("image_id", pa.string()),
        pa.field("image_url", pa.string()),
    ]
)


def image_uses(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn batches of `pages` into a row of USES for each image block."""
    for batch in batches:
        blocks, page = batch["blocks"].flatten(), pc.list_parent_indices(batch["blocks"]).to_numpy()
        of_image = np.flatnonzero(pc.equal(pc.struct_field(blocks, "kind"), "image").to_numpy(False))
        index = of_image - np.searchsorted(page, page[of_image])  # page numbers grow: a page's first block is found so
        urls = pc.struct_field(blocks, "image_url").take(pa.array(of_image))
        pages = batch.select(USES.names[:3]).take(pa.array(page[of_image]))
        ids = pa.array(map(image_id, urls.to_pylist()), pa.string())
        yield pa.RecordBatch.from_arrays([*pages.columns, pa.array(index, pa.int32()), ids, urls], schema=USES)
