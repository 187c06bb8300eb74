"""Word n-grams of evaluation sets, and their occurrences in other texts."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import fsspec
import numpy as np

from pipeline.dedup.hashing import MAX_CHARACTERS, shingles
from pipeline.io.store import open_file
from schemas.errors import PathError


class ItemText(NamedTuple):
    """A string of an item, with the item's file and line (from 1)."""

    path: str
    line: int
    text: str


def read_items(paths: Sequence[str], keys: Sequence[str]) -> Iterator[ItemText]:
    """Yield the strings of each item below any of the keys, at any depth; all strings without keys.

    Each line that is not empty is an item: any JSON value. The suffix of a file tells its compression.
    Raises: PathError that names the file and, if known, the line.
    """
    for path in paths:
        found = False
        for number, line in enumerate(_lines(path), 1):
            try:
                item = json.loads(line) if line.strip() else None
            except ValueError as error:  # a UnicodeDecodeError is one
                raise PathError(f"{path}:{number}: not JSON: {error}") from error
            except RecursionError as error:
                raise PathError(f"{path}:{number}: JSON is nested too deeply") from error
            for text in _strings(item, frozenset(keys), not keys):
                found = True
                yield ItemText(path, number, text)
        if not found:
            below = f" below {', '.join(keys)} (decontaminate.keys)" if keys else ""
            raise PathError(f"{path}: no item has a string{below}")


def _lines(path: str) -> Iterator[bytes]:
    open_file(path).close()  # says in one line why a file cannot be read, whatever its file system
    try:
        with fsspec.open(path, "rb", compression="infer") as file:
            yield from file
    except (OSError, EOFError, ValueError) as error:
        raise PathError(f"{path}: cannot be read: {error}") from error


def _strings(value: object, keys: frozenset[str], is_selected: bool) -> Iterator[str]:
    if isinstance(value, str):
        if is_selected:
            yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part, keys, is_selected)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _strings(part, keys, is_selected or key in keys)


_BATCH = 1000  # item texts hashed at a time
_SPARE_BITS = 4  # a random hash hits the sieve once in 16 times
_SIEVE_BITS = (16, 27)  # from 64 kB, which fits a core's cache, to 128 MB
# Letters that replace digits, which are otherwise folded: part of words, rare, and stable across Unicode versions.
_DIGITS = str.maketrans("0123456789", "ᚠᚡᚢᚣᚤᚥᚦᚧᚨᚩ")


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of evaluation items.

    suspects:  hashes of n-grams of the shortest length (uint64, sorted)
    exact:     by length in words, second hashes (uint64, sorted) and the first item of each (int64)
    places:    file and line of each item; an item's number is its index here
    num_short: number of items without a string of enough words
    """

    suspects: np.ndarray
    exact: dict[int, tuple[np.ndarray, np.ndarray]]
    places: list[tuple[str, int]]
    num_short: int

    def name(self, item: int) -> str:
        """Return an item's location, FILE:LINE."""
        return "{}:{}".format(*self.places[item])

    def find(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Count the n-grams that each text shares with items; return counts and first items (n int64; -1 if none)."""
        counts, items = np.zeros(len(texts), np.int64), np.full(len(texts), -1)
        if not self.exact:
            return counts, items
        hashes, sizes = shingles(texts, min(self.exact))
        sieved = np.flatnonzero(self._sieve[hashes >> self._shift])
        sieved = sieved[_found(hashes[sieved], self.suspects)[1]]
        suspects = np.unique(np.searchsorted(np.cumsum(sizes), sieved, side="right"))
        backwards = [_backwards(texts[suspect]) for suspect in suspects]
        for length, (known, item_of) in self.exact.items():
            hashes, sizes = shingles(backwards, length)
            places, hits = _found(hashes, known)
            owners = np.repeat(suspects, sizes)[hits]
            np.add.at(counts, owners, 1)
            first = np.full(len(texts), len(self.places))
            np.minimum.at(first, owners, item_of[places[hits]])
            better = (first < len(self.places)) & ((items < 0) | (first < items))
            items[better] = first[better]
        return counts, items

    @cached_property
    def _sieve(self) -> np.ndarray:
        sieve = np.zeros(1 << (64 - int(self._shift)), bool)
        sieve[self.suspects >> self._shift] = True
        return sieve

    @property
    def _shift(self) -> np.uint64:
        bits = np.clip(len(self.suspects).bit_length() + _SPARE_BITS, *_SIEVE_BITS)
        return np.uint64(64 - int(bits))


def ngrams(items: Iterable[ItemText], num_words: int, min_words: int, max_items: int) -> Ngrams:
    """Collect all n-grams of num_words words; a shorter string of at least min_words words is one n-gram.

    N-grams of more than max_items items are ignored: instructions, or a common beginning of questions.
    """
    places: dict[tuple[str, int], int] = {}
    long_enough: set[int] = set()
    texts: dict[int, list[tuple[int, str]]] = {}  # by n-gram length
    remaining = iter(items)
    while batch := list(islice(remaining, _BATCH)):
        _, sizes = shingles([item.text for item in batch], 1)
        for item, size in zip(batch, sizes, strict=True):
            number = places.setdefault((item.path, item.line), len(places))
            if size >= min_words:
                long_enough.add(number)
                texts.setdefault(min(int(size), num_words), []).append((number, item.text))
    shortest = min(texts, default=num_words)
    suspects = [shingles([text for _, text in of_length], shortest)[0] for of_length in texts.values()]
    exact = {length: _exact(of_length, length, max_items) for length, of_length in sorted(texts.items())}
    found = np.unique(np.concatenate([np.empty(0, np.uint64), *suspects]))
    return Ngrams(found, exact, list(places), len(places) - len(long_enough))


def _exact(texts: list[tuple[int, str]], length: int, max_items: int) -> tuple[np.ndarray, np.ndarray]:
    hashes, sizes = shingles([_backwards(text) for _, text in texts], length)
    items = np.repeat([item for item, _ in texts], sizes)
    order = np.lexsort((items, hashes))
    hashes, items = hashes[order], items[order]
    new_hash = np.concatenate([[True], hashes[1:] != hashes[:-1]])
    new_item = new_hash | np.concatenate([[True], items[1:] != items[:-1]])
    own = np.add.reduceat(new_item, np.flatnonzero(new_hash), dtype=np.int64) <= max_items
    return hashes[new_hash][own], items[new_hash][own]  # the first item of each


def _backwards(text: str) -> str:
    return text[:MAX_CHARACTERS].translate(_DIGITS)[::-1]


def _found(hashes: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each hash, its index among others (sorted, not empty), and whether it is one of them."""
    places = np.minimum(np.searchsorted(among, hashes), len(among) - 1)
    return places, among[places] == hashes
