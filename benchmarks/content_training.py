"""Train the forests of the main content model: `python -m benchmarks.content_training DATA [--write]`.

Trained on `pages-more` and on the pages of `pages` that are not from WCXB; tried on WCXB's, none of whose domains is
among the others. `--write` keeps the weights in pipeline/html/weights.npz. Needs the extra `tune`.
"""

import gzip
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import lightgbm
import numpy as np
from rich.progress import track

from benchmarks.content_labels import labels, tokens
from benchmarks.kept_weights import keep
from benchmarks.scoring import text_f1
from pipeline.html import main_content as content
from pipeline.html.blocks import cut
from pipeline.html.images import mark_images
from pipeline.html.main_content import Array, Forest, features
from pipeline.html.tree import NotParseable, parse
from pipeline.warc.responses import Response, read_archive

FOLDS = 4
# Shallow trees: numpy walks all of them level by level (F1 .8447 without a bound, .8436 with it, half the time).
SETTINGS = {"objective": "binary", "learning_rate": 0.04, "num_leaves": 24, "max_depth": 6, "min_data_in_leaf": 40,
            "lambda_l2": 5, "bagging_fraction": 0.7, "bagging_freq": 1, "feature_fraction": 0.4, "seed": 0,
            "num_threads": 2, "deterministic": True, "verbose": -1}  # fmt: skip
TREES = (400, 300)  # of the first and the second forest
KEPT_OUT = "wcxb"  # the source whose pages of `pages` are never trained on


@dataclass(frozen=True)
class BlockExample:
    """A page with its annotated text."""

    domain: str
    kind: str
    held_out: bool
    main_text: str
    texts: list[str]
    x_NF: Array
    words_N: Array
    labels_N: Array

    @property
    def weights_N(self) -> Array:
        """Words, so that pages weigh alike, those with little main text a little less."""
        size = max(30, len(tokens(self.main_text)), 0.5 * float(self.words_N.sum()) ** 0.8)
        return self.words_N / size


def main(data: Path, write: bool) -> None:
    """Train, print the scores on pages of other domains, and store the weights with --write."""
    examples = [e for name in ("pages", "pages-more") for e in _read(data, name)]
    tried = [e for e in examples if e.held_out]
    domains = {e.domain for e in tried}
    seen = [e for e in examples if not e.held_out and e.domain not in domains and e.kind != "goose3"]
    print(f"{len(seen)} pages to train on, {len(tried)} to try it on")
    first = _fit(seen, [e.x_NF for e in seen], TREES[0])
    folds = [sum(map(ord, e.domain)) % FOLDS for e in seen]
    thought: list[Any] = [None] * len(seen)  # of pages that were not trained on, as it will be in use
    for fold in track(range(FOLDS), "folds"):
        others = [e for e, f in zip(seen, folds, strict=True) if f != fold]
        forest = _fit(others, [e.x_NF for e in others], TREES[0])
        for number, example in enumerate(seen):
            if folds[number] == fold:
                thought[number] = content.with_surroundings(example.x_NF, forest(example.x_NF), example.words_N)
    second = _fit(seen, thought, TREES[1])
    _report(tried, first, second)
    if write:
        keep(**first.arrays("first"), **second.arrays("second"))


def _read(data: Path, name: str) -> list[BlockExample]:
    with gzip.open(data / f"{name}.truth.jsonl.gz", "rt", encoding="utf-8") as file:
        truth = {row["url"]: row for row in map(json.loads, file)}
    found = []
    pages = [
        r for r in read_archive(str(data / f"{name}.warc.gz"), max_body_bytes=50_000_000) if isinstance(r, Response)
    ]
    for page in track(pages, name):
        row = truth.get(page.url)
        try:
            tree = parse(page.body, page.charset)
        except NotParseable:
            continue
        mark_images(tree, page.url)
        blocks, _ = cut(tree)
        if row is None or not blocks:
            continue
        texts = [b.text for b in blocks]
        found.append(
            BlockExample(
                ".".join((urlsplit(page.url).hostname or "").split(".")[-2:]),
                row.get("page_type") or row["source"],
                name == "pages" and row["source"] == KEPT_OUT,
                row["text"] or "",
                texts,
                features(blocks),
                content.word_counts(blocks),
                np.array(labels(texts, row["text"] or ""), np.float32),
            )
        )
    return found


def _fit(examples: list[BlockExample], inputs: list[Array], num_trees: int) -> Forest:
    """Fit a forest; a block that is partly main text counts as both classes, weighted by the fraction."""
    x = np.concatenate(inputs)
    y = np.concatenate([e.labels_N for e in examples])
    w = np.concatenate([e.weights_N for e in examples])
    w /= w.mean()
    weights = np.concatenate([w * y, w * (1 - y)])
    kept = weights > 0
    targets = np.concatenate([np.ones_like(y), np.zeros_like(y)])
    data = lightgbm.Dataset(np.concatenate([x, x])[kept], targets[kept], weight=weights[kept])
    return _lay_out(lightgbm.train(SETTINGS, data, num_trees).dump_model()["tree_info"])


def _lay_out(trees: list[dict[str, Any]]) -> Forest:
    roots: list[int] = []
    nodes: list[tuple[int, float, int, int, float]] = []
    depth = 0

    def add(node: dict[str, Any], level: int) -> int:
        nonlocal depth
        depth = max(depth, level)
        here = len(nodes)
        if "leaf_value" in node:
            nodes.append((0, 0.0, here, here, node["leaf_value"]))
            return here
        nodes.append((0, 0.0, 0, 0, 0.0))
        left, right = (add(node[side], level + 1) for side in ("left_child", "right_child"))
        nodes[here] = (node["split_feature"], node["threshold"], right, left, 0.0)
        return here

    for tree in trees:
        roots.append(add(tree["tree_structure"], 0))
    feature, threshold, right, left, value = map(np.array, zip(*nodes, strict=True))
    return Forest(
        np.array(roots, np.int32),
        feature.astype(np.int32),
        np.nextafter(threshold.astype(np.float32), np.float32(np.inf)),  # what float64 let pass, float32 must too
        np.stack([right, left], axis=1).astype(np.int32),
        value.astype(np.float32),
        depth,
    )


def _report(tried: list[BlockExample], first: Forest, second: Forest) -> None:
    scores = defaultdict(list)
    for example in track(tried, "try"):
        p_N = second(content.with_surroundings(example.x_NF, first(example.x_NF), example.words_N))
        chosen = content.choose_text(p_N, example.words_N)
        text = "\n".join(t for t, c in zip(example.texts, chosen, strict=True) if c)
        scores[example.kind].append(text_f1(text, example.main_text))
    for kind, values in sorted(scores.items()):
        print(f"{kind:<14} {len(values):>4} pages  F1 {np.mean(values):.4f}")
    print(f"{'all':<14} {len(tried):>4} pages  F1 {np.mean([v for values in scores.values() for v in values]):.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--write" in sys.argv[2:])
