"""CIDEr: how near a caption is to what people wrote, by their shared n-grams, of which rare ones count more.

Definition: CIDEr-D of Vedantam et al., "CIDEr" (arXiv 1411.5726, sections 3 and 5), with counts and logarithms as the
COCO evaluation (Chen et al., arXiv 1504.00325) takes them: a caption's vector holds, for n of 1 to 4, how often each
n-gram stands in it times log(images / images of whose references one has it). The figures of papers are 100 times this.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

from schemas.errors import SchemaError
from trainer.evaluate.metrics.captions_words import words

_LONGEST = 4  # words of an n-gram
_SIGMA = 6.0  # of the Gaussian of differences in length

Gram = tuple[str, ...]


@dataclass(frozen=True)
class _Caption:
    """The weight of each n-gram of a caption, the norm of the weights for each n, and the number of words."""

    weights: dict[Gram, float]
    norms: list[float]
    length: int


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """The mean of `cider_each`, as the COCO evaluation reports it. Raises SchemaError as that does."""
    return fmean(cider_each(candidates, references))


def cider_each(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr-D of each image's candidate, 0 to 10, by the image's references.

    Rareness is counted over the references of the images given, so one image alone scores 0, and so does a caption
    that has no words. Raises SchemaError unless there is a candidate, and for each a list of one reference or more.
    """
    check(candidates, references)
    right = [[words(text) for text in texts] for texts in references]
    num_images = Counter(chain.from_iterable(set(chain.from_iterable(map(_grams, texts))) for texts in right))
    rareness = {gram: math.log(len(right) / number) for gram, number in num_images.items()}
    return [
        _score(_weigh(words(said), rareness, len(right)), [_weigh(text, rareness, len(right)) for text in texts])
        for said, texts in zip(candidates, right, strict=True)
    ]


def check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raise SchemaError unless there is a candidate, and for each a list of one reference or more."""
    if not candidates:
        raise SchemaError("no caption to judge: give at least one image")
    if len(candidates) != len(references):
        raise SchemaError(f"{len(candidates)} captions, but references for {len(references)} images: give one for each")
    without = [number for number, texts in enumerate(references) if not texts]
    if without:
        raise SchemaError(f"image {without[0]} (from 0) has no reference ({len(without)} in all): give one or more")


def _grams(text: Sequence[str]) -> Iterator[Gram]:
    return (tuple(text[start : start + n]) for n in range(1, _LONGEST + 1) for start in range(len(text) - n + 1))


def _weigh(text: Sequence[str], rareness: dict[Gram, float], num_images: int) -> _Caption:
    unseen, squares = math.log(num_images), [0.0] * _LONGEST
    weights = {gram: number * rareness.get(gram, unseen) for gram, number in Counter(_grams(text)).items()}
    for gram, weight in weights.items():
        squares[len(gram) - 1] += weight**2
    return _Caption(weights, [math.sqrt(square) for square in squares], len(text))


def _score(said: _Caption, references: Sequence[_Caption]) -> float:
    return 10 * fmean(_likeness(said, right) for right in references)


def _likeness(said: _Caption, right: _Caption) -> float:
    """The cosine, its counts clipped to the reference's, as a mean over n, and less where the lengths differ."""
    products = [0.0] * _LONGEST
    for gram in said.weights.keys() & right.weights.keys():
        products[len(gram) - 1] += min(said.weights[gram], right.weights[gram]) * right.weights[gram]
    cosines = (p / (a * b) if p else 0.0 for p, a, b in zip(products, said.norms, right.norms, strict=True))
    return fmean(cosines) * math.exp(-((said.length - right.length) ** 2) / (2 * _SIGMA**2))
