"""Whole numbers modulo 2^64: powers, and bits so mixed that each depends on all; the same in every version of numpy."""

from functools import lru_cache

import numpy as np

_KEPT = 1 << 17  # powers that are computed once


def mix(numbers: np.ndarray) -> np.ndarray:
    """Mix the bits of each number (uint64), so that equal ones stay equal and others look drawn by chance.

    Source: the finalizer of SplitMix64; Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
    """
    mixed: np.ndarray = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def powers(base: int, count: int) -> np.ndarray:
    """Return base to the power of 0, 1, ... count - 1 (uint64)."""
    return _kept(base)[:count] if count <= _KEPT else _computed(base, count)


@lru_cache
def _kept(base: int) -> np.ndarray:
    return _computed(base, _KEPT)


def _computed(base: int, count: int) -> np.ndarray:
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    return np.multiply.accumulate(factors)
