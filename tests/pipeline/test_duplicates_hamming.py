"""Close pairs of hashes: none missed, none twice, none too far apart."""

from itertools import combinations, pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedup.hashing import BANDED, BITS, BLOCK, HASHES, banded, bounds_of, paired

NUMBERS = st.integers(-(2**63), 2**63 - 1)
FLIPS = st.lists(st.integers(0, BITS - 1), max_size=12)


def flipped(number: int, bits: list[int]) -> int:
    unsigned = (number ^ sum(1 << bit for bit in set(bits))) & (2**BITS - 1)
    return unsigned - 2**BITS if unsigned >= 2 ** (BITS - 1) else unsigned


def brute_force(hashes: list[int], distance: int) -> list[tuple[int, int]]:
    return [(a, b) for a, b in combinations(sorted(hashes), 2) if ((a ^ b) & (2**BITS - 1)).bit_count() <= distance]


def found(hashes: list[int], distance: int, rows_of_a_batch: int = 7) -> list[tuple[int, int]]:
    """Return the pairs as two Spark stages would find them."""
    batch = pa.RecordBatch.from_pydict({"hash": hashes}, schema=HASHES)
    candidates = pa.Table.from_batches(banded(distance)(iter([batch])), schema=BANDED).sort_by("band")
    batches = paired(distance)(iter(candidates.to_batches(max_chunksize=rows_of_a_batch)))
    return sorted((pair["a"], pair["b"]) for batch in batches for pair in batch.to_pylist())


@given(st.lists(NUMBERS, min_size=1, max_size=6), st.lists(FLIPS, max_size=12), st.integers(1, 16))
def test_the_same_as_brute_force(centres: list[int], variants: list[list[int]], distance: int) -> None:
    near = [flipped(centres[i % len(centres)], bits) for i, bits in enumerate(variants)]
    hashes = sorted({*centres, *near})
    assert found(hashes, distance) == brute_force(hashes, distance)


@pytest.mark.parametrize("distance", [1, 4, 16])
def test_a_bucket_of_several_blocks(distance: int) -> None:
    hashes = list(range(BLOCK + 300))  # all differ in their lowest bits alone
    assert found(hashes, distance, 256) == brute_force(hashes, distance)


@pytest.mark.parametrize("distance", range(1, 17))
def test_bands_cover_every_bit_once(distance: int) -> None:
    bounds = bounds_of(distance)
    assert len(bounds) == distance + 1
    assert bounds[0][0] == 0 and bounds[-1][1] == BITS
    assert all(a[1] == b[0] for a, b in pairwise(bounds))
    assert all(0 < high - low <= 32 for low, high in bounds)


def test_only_close_pairs_are_found() -> None:
    far = flipped(-1, [0, 13, 26, 39, 63])  # a bit in each of five bands
    assert found([-1, far], 4) == []
    assert found([-1, far], 5) == [tuple(sorted((-1, far)))]
    assert found([5], 4) == found([], 4) == []
