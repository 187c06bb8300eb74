"""Train the weights of the content image model: `python -m benchmarks.picture_training DATA [--write]`.

Trained on `ordered-images`. What it prints is of pages that were left out while their weights were learnt, ten times a
tenth of them. Needs the extra `tune`.
"""

import json
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.gate import BASE_URL
from benchmarks.kept_weights import keep
from benchmarks.scoring import image_matches, image_scores
from pipeline.html import main_content
from pipeline.html.blocks import cut
from pipeline.html.image_content import image_features, likely
from pipeline.html.images import mark_images
from pipeline.html.main_content import Array
from pipeline.html.tree import parse

FOLDS = 10
STRENGTH = 0.03  # of the regression, in scikit-learn's terms: small weights, few pages to learn them from


@dataclass(frozen=True)
class ImageExample:
    """A page with its images."""

    addresses: list[str]
    approved: list[list[str]]
    x_NF: Array

    @property
    def y_N(self) -> Array:
        return np.array([i >= 0 for i in image_matches(self.addresses, self.approved)], np.float32)


def main(data: Path, write: bool) -> None:
    """Train, print the scores on held-out pages, and store the weights with --write."""
    examples = _read(data)
    for shuffle in range(3):
        folds = np.random.default_rng(shuffle).permutation(len(examples)) % FOLDS
        found: list[Any] = [None] * len(examples)
        for fold in range(FOLDS):
            fitted = _fit([e for e, f in zip(examples, folds, strict=True) if f != fold])
            for number, example in enumerate(examples):
                if folds[number] == fold:
                    found[number] = (_choose(example, fitted), example.approved)
        print({name: round(value, 3) for name, value in image_scores(found).items()})
    if write:
        keep(**_fit(examples))


def _read(data: Path) -> list[ImageExample]:
    truth = [json.loads(line) for line in (data / "ordered-images.truth.jsonl").read_text("utf-8").splitlines()]
    examples = []
    with tarfile.open(data / "ordered-images.tar.gz") as tar:
        sources = {n.split("/")[-2]: n for n in tar.getnames() if n.endswith("/source.html")}
        for row in truth:
            member = tar.extractfile(sources[row["page"]])
            assert member is not None
            tree = parse(member.read(), None)
            images = mark_images(tree, BASE_URL)
            blocks, spots = cut(tree)
            p_N, words_N = main_content.probabilities(blocks), main_content.word_counts(blocks)
            x_NF = np.zeros((0, 0), np.float32)
            if spots:
                x_NF = image_features(spots, images, blocks, p_N, words_N, main_content.choose_text(p_N, words_N))
            examples.append(ImageExample([images[s.image].url for s in spots], row["images"], x_NF))
    return examples


def _fit(examples: list[ImageExample]) -> dict[str, Any]:
    """Fit a regression in which pages with many images have more weight, but less than proportionally."""
    some = [e for e in examples if e.addresses]
    x_NF, y_N = np.concatenate([e.x_NF for e in some]), np.concatenate([e.y_N for e in some])
    weights = np.concatenate([np.full(len(e.addresses), len(e.addresses) ** -0.5) for e in some])
    mean, scale = x_NF.mean(0), x_NF.std(0) + 0.05
    fitted = LogisticRegression(C=STRENGTH, max_iter=3000).fit((x_NF - mean) / scale, y_N, sample_weight=weights)
    return {
        "picture_mean": mean.astype(np.float32),
        "picture_scale": scale.astype(np.float32),
        "picture_weights": fitted.coef_[0].astype(np.float32),
        "picture_bias": np.float32(fitted.intercept_[0]),
    }


def _choose(example: ImageExample, fitted: dict[str, Any]) -> list[str]:
    if not example.addresses:
        return []
    return [a for a, kept in zip(example.addresses, likely(example.x_NF, fitted), strict=True) if kept]


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--write" in sys.argv[2:])
