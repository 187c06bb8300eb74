"""Sorted rows of documents and images to finished shards: what one Spark task does."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from pipeline.shard.sample import Picture, make_sample
from pipeline.shard.tar import ShardWriter
from pipeline.store import Store
from schemas.tables import DOCUMENTS

PLACE = (
    pa.field("corpus", pa.string()),
    pa.field("split", pa.string()),
    pa.field("shard", pa.int64()),
    pa.field("lead", pa.bool_()),
    pa.field("order", pa.string()),
    pa.field("key", pa.string()),
    pa.field("position", pa.int32()),
)
"""Where a row goes. Position -1 is the document, 0 and up are its images."""

ROWS = pa.schema(
    [
        *PLACE,
        pa.field("document", pa.struct([f.remove_metadata() for f in DOCUMENTS.schema])),
        pa.field("image_id", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("bytes", pa.binary()),
    ]
)

ENTRIES = pa.schema(
    [
        *(pa.field(n, pa.string()) for n in ("corpus", "split", "tar", "index")),
        *(pa.field(n, pa.int64()) for n in ("num_samples", "num_images", "num_bytes")),
        *(pa.field(n, pa.string()) for n in ("sha256", "index_sha256")),
    ]
)


def write_shards(store: Store) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that turns batches of ROWS, sorted by PLACE, into batches of ENTRIES.

    A partition may hold several shards, each whole. Memory holds one sample and one shard's index.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        entries = []
        writer: ShardWriter | None = None
        at: tuple[str, str, int] | None = None
        for document, pictures in _samples(row for batch in batches for row in batch.to_pylist()):
            place = (document["corpus"], document["split"], document["shard"])
            if place != at:
                if writer is not None:
                    entries.append(writer.close())
                writer, at = ShardWriter(store, *place), place
            assert writer is not None
            writer.add(make_sample(document["document"], pictures))
        if writer is not None:
            entries.append(writer.close())
        yield pa.RecordBatch.from_pylist([dict(e) for e in entries], schema=ENTRIES)

    return run


def _samples(rows: Iterator[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], list[Picture]]]:
    """Group sorted rows: a document row and the image rows that follow it."""
    document: dict[str, Any] | None = None
    pictures: list[Picture] = []
    for row in rows:
        if row["position"] < 0:
            if document is not None:
                yield document, pictures
            document, pictures = row, []
        else:
            pictures.append(Picture(row["image_id"], row["sha256"], row["width"], row["height"], row["bytes"]))
    if document is not None:
        yield document, pictures
