"""What the characters of texts are, and how often ten of them in a row come again."""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.views.view import Aids, Ints, shares, structure, sums

RUN = 10  # characters: OBELICS measures repetition by runs of this length
_LETTER, _UPPER, _DIGIT = 1, 2, 4
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplication by it loses no bit


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """Return what each code point is: marks belong to their letters, capitals are letters too."""
    kinds = {"Lu": _LETTER | _UPPER, "Lt": _LETTER | _UPPER, "Nd": _DIGIT}
    kinds |= dict.fromkeys(("Ll", "Lm", "Lo", "Mn", "Mc", "Me"), _LETTER)
    return np.array([kinds.get(unicodedata.category(chr(point)), 0) for point in range(0x110000)], np.uint8)


def _points(texts: pa.Array) -> tuple[npt.NDArray[np.uint32], Ints]:
    """Return the code points of all texts in a row, and where each text's begin."""
    joined = "".join(texts.to_pylist()).encode("utf-32-le", "surrogatepass")
    lengths = pc.utf8_length(texts).to_numpy().astype(np.int64)
    return np.frombuffer(joined, np.uint32), np.concatenate([[0], np.cumsum(lengths)])


def character_fractions(batch: pa.RecordBatch, aids: Aids) -> pa.Array:
    """Measure, as parts of a text's characters: what is no letter, white space included; capitals; digits."""
    points, bounds = _points(batch["text"])
    kinds, lengths = _kinds()[points], np.diff(bounds)
    return structure(
        special=shares(sums((kinds & _LETTER) == 0, bounds), lengths),
        upper=shares(sums((kinds & _UPPER) > 0, bounds), lengths),
        digits=shares(sums((kinds & _DIGIT) > 0, bounds), lengths),
    )


def character_repetition(batch: pa.RecordBatch, aids: Aids) -> pa.Array:
    """Measure how many of a text's runs of RUN characters are among the most frequent repeated ones.

    Of U different runs the sqrt(U) most frequent are counted, if they come more than once: a long text repeats runs
    by chance, and this bound keeps its measure from growing with that.
    """
    points, bounds = _points(batch["text"])
    num_texts = len(bounds) - 1
    num_runs = np.maximum(np.diff(bounds) - RUN + 1, 0)
    owners = np.repeat(np.arange(num_texts), num_runs)
    starts = np.arange(len(owners)) - np.repeat(np.cumsum(num_runs) - num_runs, num_runs) + bounds[owners]
    hashes = np.zeros(len(owners), np.uint64)
    for offset in range(RUN):
        hashes = (hashes ^ points[starts + offset]) * _FACTOR
        hashes ^= hashes >> np.uint64(29)
    # The text goes into the upper bits, so that sorting keeps texts apart. Of a thousand texts 54 bits are left: two
    # different runs of a text of 2,000 characters are taken for one in one of 10^10 texts.
    bits = num_texts.bit_length()
    runs = np.sort((owners.astype(np.uint64) << np.uint64(64 - bits)) | (hashes >> np.uint64(bits)))
    first = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]])[: len(runs)])
    counts, texts = np.diff(first, append=len(runs)), owners[first]  # owners ascend, as the runs do
    different = np.bincount(texts, minlength=num_texts)
    again = counts > 1
    texts, counts = texts[again], counts[again]
    order = np.lexsort((-counts, texts))
    texts, counts = texts[order], counts[order]
    num_again = np.bincount(texts, minlength=num_texts)
    rank = np.arange(len(texts)) - np.repeat(np.cumsum(num_again) - num_again, num_again)
    frequent = rank < np.floor(np.sqrt(different)).astype(np.int64)[texts]
    counted = np.bincount(texts[frequent], weights=counts[frequent], minlength=num_texts).astype(np.int64)
    return pa.array(shares(counted, num_runs))
