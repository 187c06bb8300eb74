"""How much of each text is n-grams of words said again, by all of Gopher's n at once.

An n-gram can only be repeated where its beginning is, so each n looks at what the n before left: few words of a page.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.views.view import Aids, Ints, bounds_of, shares, structure

TOP = (2, 3, 4)
REPEATED = 5  # of OBELICS
DUPLICATE = (5, 6, 7, 8, 9, 10)


def gram_fractions(batch: pa.RecordBatch, aids: Aids) -> pa.Array:
    """Measure, as parts of a text's characters: the most frequent 2- to 4-gram, and repeated 5- to 10-grams.

    repeated_N is the part of all N-grams that are said more than once, every time that they are.
    top_N is 0 where no N-gram is repeated; of equally frequent ones the first counts, with a space between its words.
    duplicate_N passes over a repeated N-gram as a whole, so that overlapping ones do not count twice.
    """
    lists = batch["tokens"]
    flat, bounds = lists.flatten(), bounds_of(lists)
    num_words = np.diff(bounds)
    words = flat.indices.to_numpy().astype(np.int64)
    lengths = np.concatenate([[0], np.cumsum(pc.utf8_length(flat.dictionary).to_numpy()[words], dtype=np.int64)])
    owners = np.repeat(np.arange(len(lists)), num_words)
    characters = pc.utf8_length(batch["text"]).to_numpy().astype(np.int64)
    found = {}
    starts, ids = np.arange(len(words)), owners * len(flat.dictionary) + words
    for n in range(2, max(DUPLICATE) + 1):
        starts, ids = _longer(starts, ids, n, words, bounds[owners + 1])
        sizes = lengths[starts + n] - lengths[starts]
        if n == REPEATED:
            occurrences = np.bincount(owners[starts], minlength=len(lists))
            found[f"repeated_{n}"] = shares(occurrences, num_words - n + 1)
        if n in TOP:
            found[f"top_{n}"] = shares(_top(owners[starts], ids, sizes + n - 1, len(lists)), characters)
        if n in DUPLICATE:
            repeated = sizes * _greedy(starts, ids, n)
            found[f"duplicate_{n}"] = shares(sums_by(owners[starts], repeated, len(lists)), characters)
    return structure(**found)


def _longer(starts: Ints, ids: Ints, n: int, words: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Grow repeated (n - 1)-grams by a word; return where n-grams that are repeated in their text start, and ids.

    An id tells an n-gram of one text from all others of any text.
    """
    within = starts + n <= ends[starts]
    starts, ids = starts[within], ids[within]
    # ids and words stay below the number of a batch's words each (or that times its rows), so nothing overflows
    keys = ids * (words.max(initial=0) + 1) + words[starts + n - 1]
    renamed = pa.array(keys).dictionary_encode().indices.to_numpy().astype(np.int64)
    again = np.bincount(renamed, minlength=1)[renamed] > 1
    return starts[again], renamed[again]


def _top(owners: Ints, ids: Ints, sizes: Ints, num_texts: int) -> Ints:
    """Return for each text the characters of its most frequent n-gram, all its occurrences together."""
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    rank = np.lexsort((first, -counts, owners[first]))
    texts, best = np.unique(owners[first][rank], return_index=True)
    top = np.zeros(num_texts, np.int64)
    top[texts] = (sizes[first] * counts)[rank][best]
    return top


def _greedy(starts: Ints, ids: Ints, n: int) -> npt.NDArray[np.bool_]:
    """Tell which n-grams count as repeated when a text is read from its beginning, a repeated one as a whole."""
    seen: set[int] = set()
    free = 0
    found = np.zeros(len(starts), np.bool_)
    for index, (start, gram) in enumerate(zip(starts.tolist(), ids.tolist(), strict=True)):
        if start < free:
            continue
        if gram in seen:
            found[index] = True
            free = start + n
        else:
            seen.add(gram)
    return found


def sums_by(owners: Ints, values: npt.NDArray[np.int64], num_texts: int) -> Ints:
    """Add up values by their owner."""
    return np.bincount(owners, weights=values, minlength=num_texts).astype(np.int64)
