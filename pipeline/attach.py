"""Bring stored images to the rows that name them, by reading each part of `images` where it lies.

A join would move every image's bytes across the cluster; here only ids travel, and the bytes are read once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store import Store

MAX_ROWS = 64  # of a batch: images are large, and a batch lies in memory twice


def attach_images(
    store: Store, parts: dict[str, str], schema: pa.Schema, columns: list[str]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that adds columns of `images` to batches with `image_id` and `part`, sorted by `part`.

    Args: parts leads from the name in `part` to a Parquet file in the store; schema is that of what comes out, the
    rows' own columns without `part`, then `columns`.
    Shape: a row out for each row in whose image the part holds, in the order of the part.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (row for batch in batches for row in batch.to_pylist())
        for part, of_part in groupby(rows, key=lambda row: row["part"]):
            wanted = defaultdict(list)
            for row in of_part:
                wanted[row["image_id"]].append(row)
            yield from _read(store.at(parts[part]), wanted)

    def _read(path: str, wanted: dict[str, list[dict[str, Any]]]) -> Iterator[pa.RecordBatch]:
        with store.fs.open(path, "rb") as file:
            for images in pq.ParquetFile(file).iter_batches(MAX_ROWS, columns=["image_id", *columns]):
                for image in images.to_pylist():
                    found = [{**row, **image} for row in wanted.get(image["image_id"], ())]
                    for first in range(0, len(found), MAX_ROWS):
                        yield pa.RecordBatch.from_pylist(found[first : first + MAX_ROWS], schema=schema)

    return run
