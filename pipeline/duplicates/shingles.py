"""Texts to the hashes of their shingles, the runs of n words, whole batches at a time.

Words are folded, so that what a site's template or an editor changes does not tell two texts apart: lower case, no
accents, each number a 0, punctuation and symbols (emoji too) but boundaries. Scripts that are written without spaces
count by the character, as in filters/words.py.

A hash depends on the text alone, whatever the machine and the library: it is whole numbers modulo 2^64 by constants of
this file, and characters are classed by Unicode 3.2, which every version of Python carries beside its own. Lower case
alone is the running Python's: it may gain letters that Unicode is still to add.
Source: datatrove's `simplify_text` folds so; its tokenizer then splits contractions, which we leave whole.
"""

from collections.abc import Iterator
from functools import lru_cache
from unicodedata import ucd_3_2_0 as unicode

import numpy as np

from pipeline.duplicates.mixing import mix, powers

MAX_CHARACTERS = 1_000_000  # of a text: what stands behind them is not looked at, so memory has a bound
BLOCK = 50_000  # characters that are folded at a time: their 8-byte arrays fit a core's cache
_BOUNDARY, _DROPPED, _ZERO = 0, 1, ord("0")
_ALONE = 1 << 31  # the bit of characters that are a word each
_UNSPACED = ("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "KATAKANA", "THAI ", "LAO ", "KHMER ", "MYANMAR ")
# Blocks of punctuation and symbols: what Unicode has added to them since 3.2 is no word either.
_SYMBOLS = (range(0x2000, 0x2C00), range(0x2E00, 0x2E80), range(0x1F000, 0x1FB00))
_NUM_CODES, _TAGS = 0x20000, 0xE0000  # planes 0 and 1 have many scripts; those above Han alone, and then unseen signs
_SOFT_HYPHEN = "\u00ad"  # still punctuation in Unicode 3.2
_OF_CODE, _OF_WORD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93  # odd, else arbitrary


def shingles(texts: list[str], ngram: int) -> tuple[np.ndarray, np.ndarray]:
    """Hash each run of ngram words; a shorter text is one shingle, and one without words has none.

    Returns: the hashes of all texts in their order (uint64), and how many each text has (n, int64).
    """
    found = [_of_block(block, ngram) for block in _blocks(texts)]
    hashes = np.concatenate([np.empty(0, np.uint64), *(hashes for hashes, _ in found)])
    return hashes, np.concatenate([np.empty(0, np.int64), *(counts for _, counts in found)])


def _blocks(texts: list[str]) -> Iterator[list[str]]:
    """Cut a list of texts wherever BLOCK characters are reached."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text[:MAX_CHARACTERS])
        size += len(block[-1])
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _of_block(texts: list[str], ngram: int) -> tuple[np.ndarray, np.ndarray]:
    words, text_of = _words(texts)
    num = len(words)
    words = np.concatenate([words, np.zeros(ngram, np.uint64)])
    texts_around = np.concatenate(
        [[-1], text_of, np.full(ngram, -1)]
    )  # shifted by one: of the word before, of itself...
    hashes = np.zeros(num, np.uint64)
    for place, weight in enumerate(powers(_OF_WORD, ngram)):
        inside = texts_around[1 + place : 1 + place + num] == text_of
        hashes += np.where(inside, words[place : place + num] * weight, np.uint64(0))
    first, fits = texts_around[:num] != text_of, texts_around[ngram : ngram + num] == text_of
    kept = first | fits
    return mix(hashes[kept]), np.bincount(text_of[kept], minlength=len(texts))


def _words(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of each word (uint64), and the number of its text (int64)."""
    codes, ends = _folded(texts)
    is_word, alone = codes != _BOUNDARY, codes >= _ALONE
    is_first, is_last = is_word.copy(), is_word.copy()
    is_first[1:] &= ~is_word[:-1] | alone[1:] | alone[:-1]
    is_last[:-1] &= ~is_word[1:] | is_first[1:]
    first, last = np.flatnonzero(is_first), np.flatnonzero(is_last)
    # A word is the difference of two sums over the block, divided by the power at which it starts.
    terms = codes * powers(_OF_CODE, len(codes))
    sums = np.cumsum(terms)
    words = (sums[last] - sums[first] + terms[first]) * powers(pow(_OF_CODE, -1, 2**64), len(codes))[first]
    return mix(words), np.searchsorted(ends, first, side="right")


def _folded(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the folded characters of all texts (uint32), boundaries between them, and where each text ends."""
    raw = np.frombuffer(" ".join(texts).encode("utf-32-le", "replace"), "<u4")
    codes = _folding()[np.minimum(raw, _NUM_CODES - 1)]
    high = raw >= _NUM_CODES
    if high.any():
        codes[high] = np.where(raw[high] < _TAGS, raw[high] | np.uint32(_ALONE), _DROPPED)
    stays = codes != _DROPPED
    stays[1:] &= (codes[1:] != _ZERO) | (codes[:-1] != _ZERO)
    ends = np.cumsum([len(text) + 1 for text in texts])
    num_before = np.concatenate([[0], np.cumsum(stays)])
    return codes[stays], num_before[np.minimum(ends, len(raw))]


@lru_cache(1)
def _folding() -> np.ndarray:
    """Return what each character of planes 0 and 1 is folded to (uint32)."""
    return np.array([_fold(chr(code)) for code in range(_NUM_CODES)], np.uint32)


def _fold(character: str) -> int:
    category = unicode.category(character)
    if category in ("Mn", "Me", "Cf") or character == _SOFT_HYPHEN:  # accents, and signs that nobody sees
        return _DROPPED
    if category == "Nd":
        return _ZERO
    if (category[0] not in "LNM" and category != "Cn") or any(ord(character) in block for block in _SYMBOLS):
        return _BOUNDARY
    letter, *rest = list(unicode.normalize("NFD", character.lower()))
    if any(unicode.category(mark) != "Mn" for mark in rest):  # no accents: a syllable of Hangul
        letter = character
    return ord(letter) | (_ALONE if unicode.name(letter, "").startswith(_UNSPACED) else 0)
