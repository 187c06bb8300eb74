"""Scored caption pairs to documents of the caption corpus."""

from collections.abc import Iterator

import pyarrow as pa

from schemas.ids import caption_key
from schemas.tables import DOCUMENTS, PAGES

_PAGE = tuple(c.name for c in PAGES.columns if c.name in DOCUMENTS.schema.names and c.name != "blocks")
CAPTIONED = pa.schema(
    [
        *(PAGES.schema.field(name) for name in _PAGE),
        pa.field("image_id", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("text", pa.string()),
        pa.field("score", pa.float32()),
    ]
)
_EMPTY = dict.fromkeys(("text", "image_url", "alt", "caption", "width", "height", "image_id", "score"))


def caption_documents(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn batches of CAPTIONED into batches of `documents`: an image block, then its words as a text block."""
    for batch in batches:
        documents = []
        for row in batch.to_pylist():
            image = {name: row[name] for name in ("image_id", "image_url", "score")}
            blocks = [{**_EMPTY, **image, "kind": "image"}, {**_EMPTY, "kind": "text", "text": row["text"]}]
            page = {name: row[name] for name in _PAGE}
            key = caption_key(row["image_id"], row["text"])
            documents.append({**page, "key": key, "corpus": "caption", "blocks": blocks})
        yield DOCUMENTS.batch(documents)
