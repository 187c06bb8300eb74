"""Which texts an image is compared with."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from schemas.ids import image_id, text_id

PAIRS = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("text_id", pa.string()),
        pa.field("page_id", pa.string()),
        pa.field("block", pa.int32()),
        pa.field("text", pa.string()),
    ]
)
ALT_TEXT = -1  # the block of a caption pair
MAX_ROWS = 4096  # of a batch: a page of 500 images and 100 blocks has 50,000 pairs, each with the block's text


def page_pairs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pair every image of a page with every text block of it: batches of `pages` to batches of PAIRS."""
    pairs = (pair for batch in batches for page in batch.to_pylist() for pair in _pairs(page))
    while rows := list(islice(pairs, MAX_ROWS)):
        yield pa.RecordBatch.from_pylist(rows, PAIRS)


def _pairs(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    images = dict.fromkeys(b["image_url"] for b in page["blocks"] if b["kind"] == "image")
    for url in images:
        for index, block in enumerate(page["blocks"]):
            if block["kind"] == "text":
                yield _pair(image_id(url), block["text"], page["page_id"], index)


def caption_pairs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pair every image with its alt text: batches of `captions` to batches of PAIRS."""
    for batch in batches:
        rows = [_pair(c["image_id"], c["caption"], c["page_id"], ALT_TEXT) for c in batch.to_pylist()]
        yield pa.RecordBatch.from_pylist(rows, PAIRS)


def _pair(image: str, text: str, page: str, block: int) -> dict[str, Any]:
    return {"image_id": image, "text_id": text_id(text), "page_id": page, "block": block, "text": text}
