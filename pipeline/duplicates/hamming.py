"""Pairs of 64-bit hashes that differ in few bits: candidates share a band of bits, and each is verified.

Two hashes that differ in d bits agree in all bits of one band at least, when there are d + 1 bands (the pigeonhole
principle), so none is missed. Equal hashes are to be folded into one before: here they would be as many pairs as the
square of their number.

Hashes are int64 here as on Spark, so that both have the same order: the sign is but their highest bit.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

BITS = 64
HASHES = pa.schema([pa.field("hash", pa.int64())])
BANDED = pa.schema([pa.field("band", pa.int64()), pa.field("hash", pa.int64())])
PAIRS = pa.schema([pa.field("a", pa.int64()), pa.field("b", pa.int64())])
BLOCK = 512  # hashes of a bucket that are compared with as many others at a time: 2 MB, which a core's cache holds
_NUMBER_AT = 56  # the bit of `band` from which on the band's number stands; a band has 32 bits at most

Batches = Iterator[pa.RecordBatch]


def bounds_of(max_distance: int) -> list[tuple[int, int]]:
    """Return the bands for a distance of 1 or more: of each its lowest bit, and the bit after its highest."""
    bounds = np.linspace(0, BITS, max_distance + 2).round().astype(int)
    return [(int(low), int(high)) for low, high in pairwise(bounds)]


def banded(max_distance: int) -> Callable[[Batches], Batches]:
    """Return the function that gives each hash once for each band: batches of HASHES in, of BANDED out.

    `band` holds the band's number in its upper bits, and the hash's bits in that band in the lower ones.
    """
    bands = bounds_of(max_distance)

    def run(batches: Batches) -> Batches:
        for batch in batches:
            hashes = batch["hash"].to_numpy()
            for number, band in enumerate(bands):
                keys = _bits(hashes, band).view(np.int64) | np.int64(number << _NUMBER_AT)
                yield pa.RecordBatch.from_arrays([pa.array(keys), batch["hash"]], schema=BANDED)

    return run


def paired(max_distance: int) -> Callable[[Batches], Batches]:
    """Return the function from batches of BANDED, sorted by `band`, to batches of PAIRS: each close pair once."""

    def run(batches: Batches) -> Batches:
        for band, hashes in _buckets(batches):
            for pairs in close_pairs(hashes, max_distance, band >> _NUMBER_AT):
                if len(pairs):
                    yield pa.RecordBatch.from_arrays([pa.array(side) for side in pairs.T], schema=PAIRS)

    return run


def close_pairs(hashes: np.ndarray, max_distance: int, number: int) -> Iterator[np.ndarray]:
    """Yield the pairs among a bucket's hashes (int64, distinct) that differ in at most max_distance bits.

    A pair that shares several bands is given by the lowest of them alone: `number` is the bucket's band.
    Shape: k x 2, int64, the smaller hash first.
    """
    lower_bands = bounds_of(max_distance)[:number]
    hashes = np.sort(hashes)
    for start in range(0, len(hashes), BLOCK):
        left = hashes[start : start + BLOCK, None].view(np.uint64)
        for other in range(start, len(hashes), BLOCK):
            differing = left ^ hashes[None, other : other + BLOCK].view(np.uint64)
            close = np.bitwise_count(differing) <= max_distance
            if other == start:
                close = np.triu(close, 1)
            rows, columns = np.nonzero(close)
            first = np.ones(len(rows), bool)
            for band in lower_bands:
                first &= _bits(differing[rows, columns], band) != 0
            yield np.stack([hashes[start + rows[first]], hashes[other + columns[first]]], axis=1)


def _bits(hashes: np.ndarray, band: tuple[int, int]) -> np.ndarray:
    low, high = band
    return (hashes.view(np.uint64) >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)


def _buckets(batches: Batches) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each band of sorted batches with its hashes, where it has two or more."""
    current: int | None = None
    held: list[np.ndarray] = []
    for batch in batches:
        bands, hashes = batch["band"].to_numpy(), batch["hash"].to_numpy()
        for start, end in pairwise([*np.flatnonzero(np.diff(bands, prepend=~bands[:1])), len(bands)]):
            if bands[start] != current:
                yield from _bucket(current, held)
                current, held = int(bands[start]), []
            held.append(hashes[start:end])
    yield from _bucket(current, held)


def _bucket(band: int | None, held: list[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    if band is not None and sum(map(len, held)) > 1:
        yield band, np.concatenate(held)
