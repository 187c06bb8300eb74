"""Tell the main text of a page from what is around it, block by block.

Two forests, trained on pages with known main text (benchmarks/content_training.py): the first judges each block by
itself and its surroundings, the second also by what the first thinks of the blocks around it. Neither looks at images.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.extract.content.blocks import Block
from pipeline.extract.content.features import Array, features, num_words, shifted, window_sums
from pipeline.extract.content.forest import Forest
from pipeline.extract.content.weights import weights


def probabilities(blocks: list[Block]) -> Array:
    """Return for each of N blocks the probability that it belongs to the main content: (N,) float32."""
    if not blocks:
        return np.zeros(0, np.float32)
    first, second = forests()
    x_NF, words_N = features(blocks), word_counts(blocks)
    return _row_by_row(blocks, second(with_surroundings(x_NF, first(x_NF), words_N)), words_N)


def _row_by_row(blocks: list[Block], p_N: Array, words_N: Array) -> Array:
    """Give the blocks of a table row one probability: half a row says nothing.

    It is the mean of the cells that hold nothing but text, or of the whole row where that is more.
    """
    rows = np.array([b.row for b in blocks])
    if not rows.any():
        return p_N
    bare = np.array([b.place.tag in ("td", "th") for b in blocks])
    _, row_N = np.unique(rows, return_inverse=True)
    means = [
        np.bincount(row_N, p_N * weight) / np.maximum(np.bincount(row_N, weight), 1)
        for weight in (words_N * bare, words_N)
    ]
    together: Array = np.where(rows > 0, np.maximum(*means)[row_N], p_N).astype(np.float32)
    return together


def choose_text(p_N: Array, words_N: Array) -> npt.NDArray[np.bool_]:
    """Choose the blocks whose text has the highest expected F1 against the main text: (N,) bool.

    The best set holds the most probable blocks down to some bound (Ye et al., "Optimizing F-Measures", ICML 2012); the
    bound is found for each page, with the ratio of expectations in place of the expected ratio.
    """
    if not len(p_N):
        return np.zeros(0, np.bool_)
    order = np.argsort(-p_N, kind="stable")
    hits = (p_N * words_N)[order]
    expected = 2 * np.cumsum(hits) / (np.cumsum(words_N[order]) + hits.sum())
    chosen: npt.NDArray[np.bool_] = p_N >= p_N[order[int(np.argmax(expected))]]
    return chosen


def word_counts(blocks: list[Block]) -> Array:
    """Count the words of each block: (N,) float32."""
    return np.array([num_words(b.text) for b in blocks], np.float32)


def with_surroundings(x_NF: Array, p_N: Array, words_N: Array) -> Array:
    """Add to the features of blocks what the first forest thinks of the blocks around: (N, F) to (N, F + 18)."""
    num = len(p_N)
    hits = p_N * words_N
    columns: list[npt.NDArray[Any]] = [p_N, *(shifted(p_N, by, 0) for by in (1, 2, 3, 4, -1, -2, -3, -4))]
    columns += [window_sums(hits, radius) / window_sums(words_N, radius) for radius in (5, 12, 30)]
    columns += [
        np.cumsum(hits) / max(hits.sum(), 1e-6),
        np.full(num, hits.sum() / words_N.sum()),
        np.full(num, p_N.max()),
        p_N / p_N.max(),
        np.full(num, np.log1p(hits.sum())),
        np.argsort(np.argsort(-p_N, kind="stable"), kind="stable") / num,
    ]
    return np.concatenate([x_NF, np.stack(columns, axis=1).astype(np.float32)], axis=1)


@cache
def forests() -> tuple[Forest, Forest]:
    """Load the trained forests."""
    return Forest.from_arrays(weights(), "first"), Forest.from_arrays(weights(), "second")
