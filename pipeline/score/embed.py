"""Embed columns of images or texts in full forward passes, the next batch being prepared meanwhile."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from pipeline.score.device import choose, num_decoders
from pipeline.score.encoder import load
from schemas.recipe.score import Clip

EMBEDDED = pa.schema([pa.field("id", pa.string()), pa.field("embedding", pa.list_(pa.float32()))])
"""embedding is null for an image that cannot be decoded."""

Batches = Iterator[pa.RecordBatch]
Row = tuple[str, Any]  # an id, and a value on its way from bytes or text to its tensor
IMAGES, TEXTS = "bytes", "text"


def embed(
    config: Clip, column: str, assigned_gpus: Callable[[], Sequence[str]] = tuple
) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of (id, `column`) into batches of EMBEDDED: a row for each, in order.

    Args: column is IMAGES (encoded images) or TEXTS; assigned_gpus returns the addresses of the GPUs that the
    scheduler has assigned to the task in which it is called.
    """

    def run(batches: Batches) -> Batches:
        rows = (row for b in batches for row in zip(b["id"].to_pylist(), b[column].to_pylist(), strict=True))
        first = next(rows, None)
        if first is None:  # no model is loaded for an empty partition
            return
        encoder = load(config, choose(assigned_gpus(), _num_gpus(), os.getpid()))
        prepare: Callable[[Any], Any] = encoder.picture if column == IMAGES else encoder.tokens
        encode = encoder.images if column == IMAGES else encoder.texts
        with encoder.at_hand(), ThreadPoolExecutor(_num_threads(encoder.device)) as pool:
            for group in _prepared(chain([first], rows), prepare, encoder.batch_size, pool):
                good = [value for _, value in group if value is not None]
                vectors = iter(encode(good) if good else ())
                found = [None if value is None else next(vectors) for _, value in group]
                yield pa.RecordBatch.from_pydict({"id": [i for i, _ in group], "embedding": found}, schema=EMBEDDED)

    return run


def _prepared(
    rows: Iterator[Row], prepare: Callable[[Any], Any], size: int, pool: Executor
) -> Iterator[list[tuple[str, Any]]]:
    """Group rows and prepare their values in the pool. A group comes out when the one after it is under way.

    Torch and Pillow release the interpreter's lock while they compute, so threads are enough.
    """

    def submit() -> list[tuple[str, Future[Any]]]:
        return [(i, pool.submit(prepare, value)) for i, value in islice(rows, size)]

    group = submit()
    while group:
        following = submit()
        yield [(i, future.result()) for i, future in group]
        group = following


def _num_threads(device: str) -> int:
    return num_decoders(device, len(os.sched_getaffinity(0)), _num_gpus())


def _num_gpus() -> int:
    import torch

    return torch.cuda.device_count()
