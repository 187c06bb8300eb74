"""Find the main text of a page: features of its blocks, classified by two trained forests.

Letters: N blocks, F features, T trees, K nodes.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.html.blocks import FAMILIES, HEADINGS, TAG_NUMBER, TAGS, BlockPlace, PageBlock


@dataclass(frozen=True)
class Forest:
    """Decision trees in consecutive arrays. A leaf is its own child, so that all rows take the same number of steps."""

    roots_T: npt.NDArray[np.int32]
    feature_K: npt.NDArray[np.int32]
    threshold_K: npt.NDArray[np.float32]  # a row goes left when its feature is at most this
    children_K2: npt.NDArray[np.int32]  # right, left
    value_K: npt.NDArray[np.float32]  # log-odds, of leaves
    depth: int

    def __call__(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probability of each row: (N, F) to (N,), both float32."""
        num_rows, num_features = x_NF.shape
        x = np.ascontiguousarray(x_NF).ravel()
        row_NT = np.repeat(np.arange(num_rows, dtype=np.int32) * num_features, len(self.roots_T))
        children = self.children_K2.ravel()
        node_NT = np.tile(self.roots_T, num_rows)
        for _ in range(self.depth):
            is_left = x[row_NT + self.feature_K[node_NT]] <= self.threshold_K[node_NT]
            node_NT = children[2 * node_NT + is_left]
        odds_N = self.value_K[node_NT].reshape(num_rows, -1).sum(axis=1)
        probability_N: npt.NDArray[np.float32] = (1 / (1 + np.exp(-odds_N))).astype(np.float32)
        return probability_N

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays for `from_arrays`, to store in an .npz file."""
        return {
            f"{prefix}_roots": self.roots_T,
            f"{prefix}_feature": self.feature_K.astype(np.int16),
            f"{prefix}_threshold": self.threshold_K,
            f"{prefix}_children": self.children_K2,
            f"{prefix}_value": self.value_K.astype(np.float16),
            f"{prefix}_depth": np.array(self.depth),
        }

    @classmethod
    def from_arrays(cls, arrays: Any, prefix: str) -> "Forest":
        """Make a forest from the arrays of an .npz file."""
        return cls(
            arrays[f"{prefix}_roots"],
            arrays[f"{prefix}_feature"].astype(np.int32),
            arrays[f"{prefix}_threshold"],
            arrays[f"{prefix}_children"],
            arrays[f"{prefix}_value"].astype(np.float32),
            int(arrays[f"{prefix}_depth"]),
        )


FILE = "weights.npz"


@cache
def weights() -> dict[str, npt.NDArray[Any]]:
    """Load all arrays, once per process."""
    with (files("pipeline.html") / FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


Array = npt.NDArray[np.float32]

_NO_PUNCTUATION = str.maketrans("", "", ".,;:!?。、，！？")
_DIGIT = re.compile(r"\d")
_CAPITAL = re.compile(r"[A-ZÀ-ÖØ-ÞΑ-ΩА-Я]")
# Function words of some European languages, frequent in prose but not in lists of links.
_SMALL_WORDS = frozenset(
    "the of and to in a is that for it with as was on are be this by at from or an have you i we not they he she "  # noqa: SIM905
    "de la le et der die und que el en los di il e".split()
)
_CUES = tuple(  # for lower-case text
    re.compile(pattern)
    for pattern in (
        r"©|copyright|all rights reserved",
        r"\b(?:sign|log) ?(?:in|up)|register|subscribe|newsletter",
        r"cookie|privacy|terms",
        r"\b(?:share|tweet|follow us|facebook|twitter|pinterest|whatsapp)\b",
        r"\b(?:related|recommended|you may also|read more|see also|more from|popular|trending|latest)\b",
        r"\bcomments?\b|\brepl(?:y|ies)\b|posted|\bsaid\b",
        r"add to (?:cart|bag|basket)|buy now|in stock|checkout|wishlist",
        r"\b(?:19|20)\d\d\b",
        r"[$€£¥]\s?\d",
        r"\bby \w|author|written by",
        r"\b(?:home|menu|search|contact|about)\b",
        r"\badvertis|sponsored",
        r"^\W*$",
        r"@|https?://",
        r"\?$",
    )
)
_HEAD_CHARACTERS = 200  # of a block that are searched for cues, which occur in short blocks
_LEVELS = (1, 2, 3, 4, 6)  # enclosing elements that are measured, from the nearest
_LONG_WORDS = 15  # of a block that resembles a paragraph
NO_HEADING = -999.0


def features(blocks: list[PageBlock]) -> Array:
    """Return the features of N blocks, at least 1: (N, F) float32."""
    words = np.array([num_words(b.text) for b in blocks], np.float32)
    characters = np.array([len(b.text) for b in blocks], np.float32)
    links = np.array([b.link_characters for b in blocks], np.float32)
    small = np.array([sum(map(_SMALL_WORDS.__contains__, b.text.lower().split())) for b in blocks], np.float32)
    tags = np.array([TAG_NUMBER.get(b.place.tag, -1) for b in blocks], np.float32)
    around = _bits([b.place.tags for b in blocks], len(TAGS))
    families = _bits([b.place.families for b in blocks], len(FAMILIES))
    near = _bits([b.place.near_families for b in blocks], len(FAMILIES))
    heads = [b.text[:_HEAD_CHARACTERS].lower() for b in blocks]
    cues = np.array([[p.search(head) is not None for p in _CUES] for head in heads], np.float32)
    own = _own(blocks, words, characters, links, small, tags)
    of_page = _page(blocks, words, characters, links, tags, around, families, cues)
    return np.concatenate(
        [
            own,
            cues,
            around,
            families,
            near,
            _containers(blocks, words, characters, links, tags),
            _neighbours(blocks, own, tags),
            _windows(words, characters, links, small),
            _positions(blocks, words),
            np.repeat(of_page[None], len(blocks), 0),
        ],
        axis=1,
    )


def num_words(text: str) -> int:
    """Count the words of a normalized text by separators, or by its length in unspaced scripts (Chinese, Thai)."""
    return max(text.count(" ") + text.count("\n") + 1, len(text) // 8)


def _bits(values: list[int], num: int) -> Array:
    return ((np.array(values, np.int64)[:, None] >> np.arange(num)) & 1).astype(np.float32)


def _own(blocks: list[PageBlock], words: Array, characters: Array, links: Array, small: Array, tags: Array) -> Array:
    heads = [b.text[:200] for b in blocks]
    head_sizes = np.array([len(h) for h in heads], np.float32)
    punctuation = characters - np.array([len(b.text.translate(_NO_PUNCTUATION)) for b in blocks], np.float32)
    return np.stack(
        [
            np.log1p(words),
            np.log1p(characters),
            links / characters,
            np.array([b.emphasis_characters for b in blocks], np.float32) / characters,
            punctuation / words,
            punctuation,
            small / words,
            np.array([b.text[-1] in '.!?。”"' for b in blocks], np.float32),
            np.array([len(_DIGIT.findall(h)) for h in heads], np.float32) / head_sizes,
            np.array([len(_CAPITAL.findall(h)) for h in heads], np.float32) / head_sizes,
            characters / words,
            np.array([b.place.depth for b in blocks], np.float32),
            np.array([b.num_breaks for b in blocks], np.float32),
            np.array([b.num_links for b in blocks], np.float32),
            tags,
        ],
        axis=1,
    )


def _containers(blocks: list[PageBlock], words: Array, characters: Array, links: Array, tags: Array) -> Array:
    """Return features of the elements around each block, at several levels: (N, 7 per level)."""
    is_long = (words >= _LONG_WORDS) & (links < characters / 2)
    counts = np.stack(
        [words, links, characters, words * (tags == TAG_NUMBER["p"]), np.ones_like(words), is_long], axis=1
    )
    starts = np.zeros((len(blocks) + 1, counts.shape[1]))
    np.cumsum(counts, axis=0, out=starts[1:])
    covered = spans(blocks)
    numbers = np.arange(len(blocks), dtype=np.float32)
    found = []
    for level in _LEVELS:
        begin, end = np.array([covered[_ancestor(b.place, level - 1).number] for b in blocks]).T
        num, linked, all_characters, in_paragraphs, num_blocks, num_long = (starts[end] - starts[begin]).T
        found += [
            np.log1p(num),
            linked / all_characters,
            in_paragraphs / num,
            np.log1p(num_blocks),
            num_long / num_blocks,
            num / starts[-1, 0],
            (numbers - begin) / num_blocks,
        ]
    return np.stack(found, axis=1).astype(np.float32)


def spans(blocks: list[PageBlock]) -> dict[int, tuple[int, int]]:
    """Return the range [first, end) of blocks in each element, by the element's number."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for numbers, found in ((range(len(blocks)), first), (reversed(range(len(blocks))), last)):
        for number in numbers:
            for place in blocks[number].place.outwards():
                if place.number in found:  # then so are the enclosing ones
                    break
                found[place.number] = number
    return {element: (begin, last[element] + 1) for element, begin in first.items()}


def _ancestor(place: BlockPlace, levels: int) -> BlockPlace:
    """Return the place `levels` levels further out, at most the outermost."""
    for _ in range(levels):
        if place.around is None:
            break
        place = place.around
    return place


def _neighbours(blocks: list[PageBlock], own: Array, tags: Array) -> Array:
    """Return features of the two blocks before and after each, and whether adjacent ones share the element."""
    selected = own[:, [0, 2, 7, 6, 14]]
    parents = np.array([b.place.around.number if b.place.around else 0 for b in blocks], np.float32)[:, None]
    same = [shifted(parents, by, -1) == parents for by in (1, -1)]
    return np.concatenate([*(shifted(selected, by, -1) for by in (1, 2, -1, -2)), *same], axis=1).astype(np.float32)


def shifted(values: Array, by: int, fill: float) -> Array:
    """Shift rows down by a number of places (up if negative) and fill the gap."""
    moved = np.full_like(values, fill)
    if by > 0:
        moved[by:] = values[:-by]
    else:
        moved[:by] = values[-by:]
    return moved


def window_sums(values: Array, radius: int) -> Array:
    """Sum (N,) values over the rows at most `radius` away from each."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    numbers = np.arange(len(values))
    found: Array = sums[np.minimum(numbers + radius + 1, len(values))] - sums[np.maximum(numbers - radius, 0)]
    return found


def _windows(words: Array, characters: Array, links: Array, small: Array) -> Array:
    found = []
    for radius in (3, 8):
        num = window_sums(words, radius)
        found += [
            np.log1p(num),
            window_sums(links, radius) / window_sums(characters, radius),
            window_sums(small, radius) / num,
        ]
    return np.stack(found, axis=1).astype(np.float32)


def _positions(blocks: list[PageBlock], words: Array) -> Array:
    num = len(blocks)
    numbers = np.arange(num, dtype=np.float32)
    times = Counter(b.text for b in blocks)
    titles = [n for n, b in enumerate(blocks) if b.place.tag == "h1"]
    since_heading, heading = [], -1
    for number, block in enumerate(blocks):
        since_heading.append(number - heading if heading >= 0 else -1)
        if block.place.tag in HEADINGS:
            heading = number
    return np.stack(
        [
            numbers / num,
            np.cumsum(words) / words.sum(),
            numbers,
            num - numbers,
            np.array([times[b.text] for b in blocks], np.float32),
            numbers - titles[0] if titles else np.full(num, NO_HEADING, np.float32),
            np.array(since_heading, np.float32),
        ],
        axis=1,
    )


def _page(
    blocks: list[PageBlock],
    words: Array,
    characters: Array,
    links: Array,
    tags: Array,
    around: Array,
    families: Array,
    cues: Array,
) -> Array:
    """Return features of the page: (features,)."""
    total = words.sum()
    in_article, in_main = around[:, TAG_NUMBER["article"]], around[:, TAG_NUMBER["main"]]
    return np.array(
        [
            np.log1p(total),
            np.log1p(len(blocks)),
            links.sum() / characters.sum(),
            words[tags == TAG_NUMBER["p"]].sum() / total,
            sum(b.place.tag == "h1" for b in blocks),
            sum(b.place.tag in HEADINGS for b in blocks),
            (words >= 20).sum(),
            words[words >= 20].sum() / total,
            in_article.mean(),
            in_main.mean(),
            (words * in_main).sum() / total,
            (words * in_article).sum() / total,
            *((families * words[:, None]).sum(0) / total),
            *cues.mean(0),
        ],
        np.float32,
    )


def probabilities(blocks: list[PageBlock]) -> Array:
    """Return the probability that each of N blocks belongs to the main content: (N,) float32."""
    if not blocks:
        return np.zeros(0, np.float32)
    first, second = forests()
    x_NF, words_N = features(blocks), word_counts(blocks)
    return _row_by_row(blocks, second(with_surroundings(x_NF, first(x_NF), words_N)), words_N)


def _row_by_row(blocks: list[PageBlock], p_N: Array, words_N: Array) -> Array:
    """Give the blocks of a table row one probability, so that a row is not split.

    It is the higher mean of the plain text cells and of the full row.
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
    """Choose the blocks that maximize the expected F1 of words: (N,) bool.

    The best set holds the blocks above a threshold of probability, which is found per page with the ratio of
    expectations in place of the expected ratio. Source: Ye et al., "Optimizing F-Measures", ICML 2012.
    """
    if not len(p_N):
        return np.zeros(0, np.bool_)
    order = np.argsort(-p_N, kind="stable")
    hits = (p_N * words_N)[order]
    expected = 2 * np.cumsum(hits) / (np.cumsum(words_N[order]) + hits.sum())
    chosen: npt.NDArray[np.bool_] = p_N >= p_N[order[int(np.argmax(expected))]]
    return chosen


def word_counts(blocks: list[PageBlock]) -> Array:
    """Count the words of each block: (N,) float32."""
    return np.array([num_words(b.text) for b in blocks], np.float32)


def with_surroundings(x_NF: Array, p_N: Array, words_N: Array) -> Array:
    """Append the first forest's probabilities of the surrounding blocks to features: (N, F) to (N, F + 18)."""
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
