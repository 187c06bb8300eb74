"""Which images a page's blocks use, and where."""

from collections.abc import Iterator

import pyarrow as pa

from pipeline.blocks import field, of_kind
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
        at, page, place = of_kind(batch["blocks"], "image")
        urls = field(batch["blocks"], "image_url", at)
        pages = batch.select(USES.names[:3]).take(pa.array(page))
        ids = pa.array(map(image_id, urls.to_pylist()), pa.string())
        yield pa.RecordBatch.from_arrays([*pages.columns, pa.array(place, pa.int32()), ids, urls], schema=USES)
