"""Separate images of the main content from logos, teasers and others, by their position.

A logistic regression on features of the text around an image (main_content.py), of its elements, and of the image
itself; trained on pages with approved images (benchmarks/picture_training.py).

Letters: N images, F features.
"""

import re
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.html.blocks import FAMILIES, TAG_NUMBER, BlockPlace, PageBlock, Spot
from pipeline.html.captions import Caption, clean
from pipeline.html.images import Image
from pipeline.html.main_content import Array, spans, weights
from pipeline.url import parse

MIN_PROBABILITY = 0.4  # precision and recall are about equal on held-out pages
MIN_BEST_PROBABILITY = 0.5  # of a page's most probable image; below it the page has none
_CHROME = re.compile(
    r"logo|icon|avatar|sprite|badge|button|emoji|gravatar|smil|share|social|pixel|banner|advert|rating|star|arrow|flag"
    r"|thumb|profile|author|user",
    re.I,
)
_ENOUGH_WORDS = (15, 60, 200)  # of the enclosing elements whose text is measured
_NEAR = (
    "related", "side", "head", "navigation", "social", "advertisement", "about", "comment", "content", "caption",
    "list", "form",
)  # fmt: skip
_AROUND = ("related", "side", "head", "navigation", "comment", "foot", "overlay", "form", "hidden")
_INSIDE = ("figure", "li", "p", "article", "aside", "nav", "header", "footer", "form", "button")
_NEVER = sum(1 << TAG_NUMBER[tag] for tag in ("nav", "footer"))  # independent of the model
_BUTTON = 1 << TAG_NUMBER["button"]
_SMALL_PIXELS, _TINY_PIXELS, _BIG_PIXELS = 100, 50, 300


def choose_images(spots: list[Spot], images: list[Image], x_NF: Array) -> list[Spot]:
    """Return the spots whose images belong to the main content, in reading order.

    Args: x_NF holds the spots' `image_features`.
    """
    likely_N = likely(x_NF, weights())
    return [
        spot
        for spot, is_likely in zip(spots, likely_N, strict=True)
        if is_likely
        and not spot.place.tags & _NEVER
        and not (spot.place.tags & _BUTTON and _is_icon(images[spot.image]))
    ]


def _is_icon(image: Image) -> bool:
    """Return whether an image on a button is an icon, not an image that a click enlarges."""
    sides = [side for side in (image.width, image.height) if side]
    name = parse(image.url).file_name
    if (sides and min(sides) <= _SMALL_PIXELS) or name.endswith((".svg", ".gif")) or _CHROME.search(name):
        return True
    is_described = bool(image.caption) or isinstance(clean(image.alt), Caption)
    return _CHROME.search(image.alt) is not None or not (is_described or (sides and max(sides) >= _BIG_PIXELS))


def likely(x_NF: Array, w: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Return which images of a page are probable enough under the weights: (N, F) to (N,) bool."""
    odds_N = ((x_NF - w["picture_mean"]) / w["picture_scale"]) @ w["picture_weights"] + w["picture_bias"]
    p_N = 1 / (1 + np.exp(-odds_N))
    likely_N: npt.NDArray[np.bool_] = (p_N >= MIN_PROBABILITY) & (p_N.max() >= MIN_BEST_PROBABILITY)
    return likely_N


def image_features(
    spots: list[Spot],
    images: list[Image],
    blocks: list[PageBlock],
    p_N: Array,
    words_N: Array,
    chosen_N: npt.NDArray[np.bool_],
) -> Array:
    """Return the features of images at their positions: N spots, at least 1, to (N, F) float32.

    Args: p_N, words_N and chosen_N are of the blocks, see main_content.py.
    """
    words = np.concatenate([[0.0], np.cumsum(words_N)])
    hits = np.concatenate([[0.0], np.cumsum(words_N * p_N)])
    kept = np.flatnonzero(chosen_N)
    first, last = (int(kept[0]), int(kept[-1])) if len(kept) else (0, -1)
    total = float(np.log1p((words_N * chosen_N).sum()))
    covered = spans(blocks)
    times = Counter(images[spot.image].url for spot in spots)

    def share(begin: int, end: int) -> float:
        """Return the expected fraction of main text among the words of blocks [begin, end)."""
        return float((hits[end] - hits[begin]) / max(words[end] - words[begin], 1))

    def shares_around(place: BlockPlace) -> list[float]:
        """Return the share in the smallest enclosing elements with enough words."""
        shares = []
        for enough in _ENOUGH_WORDS:
            sizes = (covered[p.number] for p in place.outwards() if p.number in covered)
            shares.append(next((share(b, e) for b, e in sizes if words[e] - words[b] >= enough), 0.0))
        return shares

    rows = []
    for spot in spots:
        at, image = spot.before, images[spot.image]
        before = float(p_N[at - 1]) if at > 0 else 0.0
        after = float(p_N[at]) if at < len(blocks) else 0.0
        rows.append(
            [
                before,
                after,
                max(before, after),
                min(before, after),
                *(share(max(at - r, 0), min(at + r, len(blocks))) for r in (2, 6)),
                *shares_around(spot.place),
                first < at <= last,
                first - 3 <= at <= first,
                at > last + 1,
                spot.in_link,
                *_of_image(image),
                times[image.url] > 1,
                *_of_place(spot.place),
                total,
            ]
        )
    return np.array(rows, np.float32)


def _of_image(image: Image) -> list[bool]:
    sides = [side for side in (image.width, image.height) if side]
    name = parse(image.url).file_name
    return [
        bool(image.caption),
        bool(image.alt),
        bool(sides) and min(sides) <= _SMALL_PIXELS,
        bool(sides) and min(sides) <= _TINY_PIXELS,
        bool(sides) and max(sides) >= _BIG_PIXELS,
        bool(_CHROME.search(name)),
        bool(_CHROME.search(image.alt)),
        name.endswith(".gif"),
    ]


def _of_place(place: BlockPlace) -> list[bool]:
    return [
        *(bool(place.near_families >> FAMILIES.index(name) & 1) for name in _NEAR),
        *(bool(place.families >> FAMILIES.index(name) & 1) for name in _AROUND),
        *(bool(place.tags >> TAG_NUMBER[tag] & 1) for tag in _INSIDE),
    ]
