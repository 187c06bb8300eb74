"""MinHash: of a text's shingles the least by each of many hash functions; two texts agree in a function as often as the
share of shingles that they have in common (their Jaccard similarity).

Nothing here is drawn at run time or taken from a library that may change: two runs have the same signatures on every
machine, which tests pin.
Source: Broder, "On the resemblance and containment of documents", 1997; bands: Leskovec, Rajaraman, Ullman, "Mining of
Massive Datasets", chapter 3; sketches of few bits: Li, König, "b-Bit Minwise Hashing", WWW 2010.
"""

import numpy as np

from pipeline.duplicates.mixing import mix, powers

BLOCK = 32_768  # shingles that are hashed at a time, which a core's cache holds
_SKETCH_VALUES = 256  # of one function in a sketch
_SEED, _OF_ROW = 0x2545F4914F6CDD1D, 0xA0761D6478BD642F  # odd, else arbitrary


def signatures(shingles: np.ndarray, counts: np.ndarray, functions: int) -> np.ndarray:
    """Return the least hash of each text by each function: texts x functions, uint64.

    Args: shingles of all texts in their order (uint64, as if drawn by chance), and how many each has (1 or more).
    A function multiplies by an odd number, modulo 2^64.
    """
    factors = mix(powers(_SEED, functions)) | np.uint64(1)
    found = np.empty((functions, len(counts)), np.uint64)
    ends = np.cumsum(counts)
    text = 0
    while text < len(counts):
        start = ends[text] - counts[text]
        after = max(text + 1, int(np.searchsorted(ends, start + BLOCK, side="right")))
        block, starts = shingles[start : ends[after - 1]], ends[text:after] - counts[text:after] - start
        hashes = np.empty_like(block)
        for function, factor in enumerate(factors):
            np.multiply(block, factor, out=hashes)
            np.minimum.reduceat(hashes, starts, out=found[function, text:after])
        text = after
    return found.T


def bands(signatures: np.ndarray, bands: int) -> np.ndarray:
    """Return a key for each band of rows: texts x bands, int64. Equal rows have other keys in other bands."""
    rows = signatures.reshape(len(signatures), bands, signatures.shape[1] // bands)
    keys = (rows * powers(_OF_ROW, rows.shape[2])).sum(axis=2, dtype=np.uint64)
    return mix(keys + np.arange(1, bands + 1, dtype=np.uint64)).view(np.int64)


def whole(signatures: np.ndarray) -> np.ndarray:
    """Return one key for the whole of each signature (n, int64)."""
    return bands(signatures, 1)[:, 0]


def sketches(signatures: np.ndarray) -> np.ndarray:
    """Return eight bits of each hash: texts x functions, uint8, an eighth of the memory that estimates need."""
    return (signatures >> np.uint64(32)).astype(np.uint8)


def similarity(sketches: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Estimate the Jaccard similarity of each text with another: n float64, 0 to 1, standard error of 0.05 at most.

    Unequal hashes agree in their eight bits by chance once in 256 times, which is taken off.
    """
    chance = 1 / _SKETCH_VALUES
    agreeing: np.ndarray = (sketches == others).mean(axis=1)
    return np.maximum((agreeing - chance) / (1 - chance), 0)
