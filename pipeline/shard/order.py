"""The place of a document in the global shuffle, and the split that it belongs to."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from schemas.ids import fraction, order
from schemas.shards import TRAIN, VALIDATION

ORDERED = pa.schema([pa.field(name, pa.string()) for name in ("key", "corpus", "split", "order")])


def shuffle_keys(
    seed: int, validation_fraction: float
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that turns batches with key, corpus and host into batches of ORDERED.

    Sorted by `order`, documents stand in a random order that depends on the seed and their keys alone.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            splits = [split_of(host, validation_fraction) for host in batch["host"].to_pylist()]
            orders = [order(seed, key) for key in batch["key"].to_pylist()]
            columns = [batch["key"], batch["corpus"], pa.array(splits, pa.string()), pa.array(orders, pa.string())]
            yield pa.RecordBatch.from_arrays(columns, schema=ORDERED)

    return run


def split_of(host: str, validation_fraction: float) -> str:
    """Return the split of all pages of a host, the same in every run, whatever else it reads.

    Whole hosts are held out: a page's document and captions share its images, and pages of a host share images, phrases
    and makeup. A larger fraction holds out the same hosts and more.
    """
    return VALIDATION if fraction(0, "validation", host) < validation_fraction else TRAIN
