"""Which texts an image is compared with."""

from collections.abc import Callable, Iterator
from typing import Literal

import pyarrow as pa

from pipeline.score.pieces import sentences
from schemas.ids import text_id

WHOLE = -1  # the sentence of a text that is not cut into sentences
ALT_TEXT = -1  # the block of a caption pair
PAIRS = pa.schema([pa.field(name, pa.string()) for name in ("image_id", "text_id", "page_id", "text")])
"""An image, and the words that a page gives it."""

TEXTS = pa.schema(
    [
        pa.field("page_id", pa.string()),
        pa.field("block", pa.int32()),
        pa.field("sentence", pa.int32()),
        pa.field("text_id", pa.string()),
        pa.field("text", pa.string()),
    ]
)
"""A text of a page, with which every image of the page is compared."""

Batches = Iterator[pa.RecordBatch]


def page_texts(unit: Literal["blocks", "sentences"]) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of `pages` into batches of TEXTS: a row for each block or sentence."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            rows = [
                {"page_id": page["page_id"], "block": b, "sentence": s, "text_id": text_id(text), "text": text}
                for page in batch.to_pylist()
                for b, block in enumerate(page["blocks"])
                if block["kind"] == "text"
                for s, text in (
                    enumerate(sentences(block["text"])) if unit == "sentences" else [(WHOLE, block["text"])]
                )
            ]
            yield pa.RecordBatch.from_pylist(rows, TEXTS)

    return run


def caption_pairs(batches: Batches) -> Batches:
    """Pair every image with its words: batches of `captions` to batches of PAIRS."""
    for batch in batches:
        columns = [batch["image_id"], pa.array([text_id(c) for c in batch["caption"].to_pylist()], pa.string())]
        yield pa.RecordBatch.from_arrays([*columns, batch["page_id"], batch["caption"]], schema=PAIRS)
