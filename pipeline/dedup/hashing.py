"""Hashes that find near-duplicates: MinHash signatures of texts, and 64-bit hashes with a small Hamming distance."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from unicodedata import ucd_3_2_0 as unicode

import numpy as np
import pyarrow as pa

from schemas.tables import Batches

_NUM_CACHED = 1 << 17  # powers that are computed only once


def mix(numbers: np.ndarray) -> np.ndarray:
    """Mix the bits of each number (uint64): a bijection whose results look random.

    Source: the finalizer of SplitMix64; Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
    """
    mixed: np.ndarray = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def powers(base: int, count: int) -> np.ndarray:
    """Return base to the power of 0, 1, ... count - 1 (uint64)."""
    return _cached_powers(base)[:count] if count <= _NUM_CACHED else _compute_powers(base, count)


@lru_cache
def _cached_powers(base: int) -> np.ndarray:
    return _compute_powers(base, _NUM_CACHED)


def _compute_powers(base: int, count: int) -> np.ndarray:
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    return np.multiply.accumulate(factors)


MAX_CHARACTERS = 1_000_000  # of a text that are hashed, to limit memory
BLOCK_CHARACTERS = 50_000  # characters folded at a time: their 8-byte arrays fit a core's cache
_BOUNDARY, _DROPPED, _ZERO = 0, 1, ord("0")
_ALONE = 1 << 31  # flag of characters that are a word each
_UNSPACED = ("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "KATAKANA", "THAI ", "LAO ", "KHMER ", "MYANMAR ")
# Blocks of punctuation and symbols, including characters added since Unicode 3.2.
_SYMBOLS = (range(0x2000, 0x2C00), range(0x2E00, 0x2E80), range(0x1F000, 0x1FB00))
_NUM_CODES, _TAGS = 0x20000, 0xE0000  # planes 0 and 1 have many scripts; above are only Han, then tags
_SOFT_HYPHEN = "\u00ad"  # punctuation in Unicode 3.2
_OF_CODE, _OF_WORD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93  # odd, else arbitrary


def shingles(texts: list[str], ngram: int) -> tuple[np.ndarray, np.ndarray]:
    """Hash the word n-grams of texts, ngram words each; a shorter text is one shingle, a text without words has none.

    Returns: the hashes of all texts in order (uint64), and the number of each text's hashes (n, int64).
    """
    found = [_of_block(block, ngram) for block in _blocks(texts)]
    hashes = np.concatenate([np.empty(0, np.uint64), *(hashes for hashes, _ in found)])
    return hashes, np.concatenate([np.empty(0, np.int64), *(counts for _, counts in found)])


def _blocks(texts: list[str]) -> Iterator[list[str]]:
    """Split a list of texts into blocks of at least BLOCK_CHARACTERS characters."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text[:MAX_CHARACTERS])
        size += len(block[-1])
        if size >= BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _of_block(texts: list[str], ngram: int) -> tuple[np.ndarray, np.ndarray]:
    words, owners = _words(texts)
    num = len(words)
    words = np.concatenate([words, np.zeros(ngram, np.uint64)])
    padded = np.concatenate([[-1], owners, np.full(ngram, -1)])  # padded[i] owns word i - 1
    hashes = np.zeros(num, np.uint64)
    for offset, weight in enumerate(powers(_OF_WORD, ngram)):
        inside = padded[1 + offset : 1 + offset + num] == owners
        hashes += np.where(inside, words[offset : offset + num] * weight, np.uint64(0))
    first, fits = padded[:num] != owners, padded[ngram : ngram + num] == owners
    kept = first | fits
    return mix(hashes[kept]), np.bincount(owners[kept], minlength=len(texts))


def _words(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of each word (uint64) and the index of its text (int64)."""
    codes, ends = _folded(texts)
    is_word, alone = codes != _BOUNDARY, codes >= _ALONE
    is_first, is_last = is_word.copy(), is_word.copy()
    is_first[1:] &= ~is_word[:-1] | alone[1:] | alone[:-1]
    is_last[:-1] &= ~is_word[1:] | is_first[1:]
    first, last = np.flatnonzero(is_first), np.flatnonzero(is_last)
    # A word's hash is the difference of two prefix sums, divided by the power at its start.
    terms = codes * powers(_OF_CODE, len(codes))
    sums = np.cumsum(terms)
    words = (sums[last] - sums[first] + terms[first]) * powers(pow(_OF_CODE, -1, 2**64), len(codes))[first]
    return mix(words), np.searchsorted(ends, first, side="right")


def _folded(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the folded characters of all texts (uint32), with boundaries between them, and the end of each text."""
    raw = np.frombuffer(" ".join(texts).encode("utf-32-le", "replace"), "<u4")
    codes = _folding()[np.minimum(raw, _NUM_CODES - 1)]
    high = raw >= _NUM_CODES
    if high.any():
        codes[high] = np.where(raw[high] < _TAGS, raw[high] | np.uint32(_ALONE), _DROPPED)
    kept = codes != _DROPPED
    kept[1:] &= (codes[1:] != _ZERO) | (codes[:-1] != _ZERO)
    ends = np.cumsum([len(text) + 1 for text in texts])
    num_before = np.concatenate([[0], np.cumsum(kept)])
    return codes[kept], num_before[np.minimum(ends, len(raw))]


@lru_cache(1)
def _folding() -> np.ndarray:
    """Return the folded code of each character of planes 0 and 1 (uint32)."""
    return np.array([_fold(chr(code)) for code in range(_NUM_CODES)], np.uint32)


def _fold(character: str) -> int:
    category = unicode.category(character)
    if category in ("Mn", "Me", "Cf") or character == _SOFT_HYPHEN:  # accents and invisible characters
        return _DROPPED
    if category == "Nd":
        return _ZERO
    if (category[0] not in "LNM" and category != "Cn") or any(ord(character) in block for block in _SYMBOLS):
        return _BOUNDARY
    letter, *rest = list(unicode.normalize("NFD", character.lower()))
    if any(unicode.category(mark) != "Mn" for mark in rest):  # not accents: a Hangul syllable
        letter = character
    return ord(letter) | (_ALONE if unicode.name(letter, "").startswith(_UNSPACED) else 0)


BLOCK_SHINGLES = 32_768  # shingles hashed at a time: they fit a core's cache
_SKETCH_VALUES = 256  # values of a hash in a sketch
_SEED, _OF_ROW = 0x2545F4914F6CDD1D, 0xA0761D6478BD642F  # odd, else arbitrary


def signatures(shingles: np.ndarray, counts: np.ndarray, functions: int) -> np.ndarray:
    """Return the MinHash signature of each text: texts x functions, uint64.

    Args: shingles of all texts in order (uint64, uniformly distributed), and the number of each text's (1 or more).
    A hash function multiplies by an odd number, modulo 2^64.
    """
    factors = mix(powers(_SEED, functions)) | np.uint64(1)
    found = np.empty((functions, len(counts)), np.uint64)
    ends = np.cumsum(counts)
    text = 0
    while text < len(counts):
        start = ends[text] - counts[text]
        after = max(text + 1, int(np.searchsorted(ends, start + BLOCK_SHINGLES, side="right")))
        block, starts = shingles[start : ends[after - 1]], ends[text:after] - counts[text:after] - start
        hashes = np.empty_like(block)
        for function, factor in enumerate(factors):
            np.multiply(block, factor, out=hashes)
            np.minimum.reduceat(hashes, starts, out=found[function, text:after])
        text = after
    return found.T


def bands(signatures: np.ndarray, bands: int) -> np.ndarray:
    """Return a key for each band: texts x bands, int64. Equal rows have different keys in different bands."""
    rows = signatures.reshape(len(signatures), bands, signatures.shape[1] // bands)
    keys = (rows * powers(_OF_ROW, rows.shape[2])).sum(axis=2, dtype=np.uint64)
    return mix(keys + np.arange(1, bands + 1, dtype=np.uint64)).view(np.int64)


def full_keys(signatures: np.ndarray) -> np.ndarray:
    """Return one key for each complete signature (n, int64)."""
    return bands(signatures, 1)[:, 0]


def sketches(signatures: np.ndarray) -> np.ndarray:
    """Return eight bits of each hash: texts x functions, uint8, an eighth of the memory for estimates."""
    return (signatures >> np.uint64(32)).astype(np.uint8)


def similarity(sketches: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Estimate the Jaccard similarity of n pairs of texts: n float64, 0 to 1, standard error at most 0.05.

    Corrects for the chance of 1 / 256 that different hashes agree in their eight bits.
    """
    chance = 1 / _SKETCH_VALUES
    agreeing: np.ndarray = (sketches == others).mean(axis=1)
    return np.maximum((agreeing - chance) / (1 - chance), 0)


BITS = 64
HASHES = pa.schema([pa.field("hash", pa.int64())])
BANDED = pa.schema([pa.field("band", pa.int64()), pa.field("hash", pa.int64())])
PAIRS = pa.schema([pa.field("a", pa.int64()), pa.field("b", pa.int64())])
BLOCK = 512  # hashes of a bucket compared with as many others at a time: 2 MB, which fits a core's cache
_NUMBER_AT = 56  # the lowest bit of the band's number in `band`; a band has at most 32 bits


def bounds_of(max_distance: int) -> list[tuple[int, int]]:
    """Return the bit range [low, high) of each band for a distance of 1 or more."""
    bounds = np.linspace(0, BITS, max_distance + 2).round().astype(int)
    return [(int(low), int(high)) for low, high in pairwise(bounds)]


def banded(max_distance: int) -> Callable[[Batches], Batches]:
    """Return the function that repeats each hash for each band: batches of HASHES in, of BANDED out.

    `band` holds the band's number in its upper bits, and the hash's bits in that band in its lower bits.
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

    `number` is the bucket's band; a pair in several bands is only yielded in the lowest.
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
    """Yield each band of sorted batches with its hashes, if it has two or more."""
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
