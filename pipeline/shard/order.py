"""The place of a document in the global shuffle."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from schemas.ids import order

ORDERED = pa.schema([pa.field("key", pa.string()), pa.field("corpus", pa.string()), pa.field("order", pa.string())])


def shuffle_keys(seed: int) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that turns batches with key and corpus into batches of ORDERED.

    Sorted by `order`, documents stand in a random order that depends on the seed and their keys alone.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            keys = batch["key"].to_pylist()
            columns = [batch["key"], batch["corpus"], pa.array([order(seed, key) for key in keys], pa.string())]
            yield pa.RecordBatch.from_arrays(columns, schema=ORDERED)

    return run
