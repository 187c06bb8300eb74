"""Which images a page's blocks use, and where."""

from collections.abc import Iterator

import pyarrow as pa

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
        rows = [
            {
                **{name: page[name] for name in ("page_id", "warc_file", "warc_offset")},
                "block": index,
                "image_id": image_id(block["image_url"]),
                "image_url": block["image_url"],
            }
            for page in batch.to_pylist()
            for index, block in enumerate(page["blocks"])
            if block["kind"] == "image"
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=USES)
