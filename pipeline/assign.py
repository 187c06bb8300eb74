"""Place images before the sentences that say most of them, as MMC4 does.

Source: Zhu et al., "Multimodal C4", arXiv 2304.06939, section 2: linear assignment on CLIP's scores, which spreads the
images over the text, where each image's best sentence would heap them up.
"""

from typing import Any

import numpy as np

from pipeline.score.pieces import sentences

Place = tuple[int, int]  # a block's index on the page, and a sentence's in the block


def assign(scores: np.ndarray) -> list[int]:
    """Give each image a sentence of its own, so that the sum of their scores is highest.

    Where there are more images than sentences, those that are left over go to their best ones, as in MMC4's code.
    Args: scores are images x sentences, with one sentence at least. Shape: the index of a sentence for each image.
    """
    from scipy.optimize import linear_sum_assignment

    places: list[int] = scores.argmax(axis=1).tolist()
    for image, sentence in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
        places[image] = int(sentence)
    return places


def place(blocks: dict[int, dict[str, Any]], scores: dict[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a document's blocks with each image before its sentence, and with the score that it has there.

    A text block is cut before a sentence that gets an image. Images with the same sentence stand in the page's order.
    Args: blocks lead from the place on the page to a block of the document; scores, from the place of each image to
    what it has with every sentence of the page: `block`, `sentence`, `score`.
    """
    tables = {image: {(s["block"], s["sentence"]): s["score"] for s in of_image} for image, of_image in scores.items()}
    places = sorted(next(iter(tables.values())))
    chosen = assign(np.array([[table[p] for p in places] for table in tables.values()]))
    before: dict[Place, list[dict[str, Any]]] = {}
    for (image, table), choice in zip(tables.items(), chosen, strict=True):
        before.setdefault(places[choice], []).append({**blocks[image], "score": table[places[choice]]})
    placed = []
    for index, block in blocks.items():
        if block["kind"] == "text":
            placed += _cut(block, {sentence: images for (b, sentence), images in before.items() if b == index})
    return placed


def _cut(block: dict[str, Any], before: dict[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Cut a text block before each sentence that images stand before, and put them there."""
    text, cut = block["text"], []
    start = at = 0
    for number, sentence in enumerate(sentences(text)):
        at = text.index(sentence, at)
        if number in before:
            if text[start:at].strip():
                cut.append({**block, "text": text[start:at].strip()})
            cut += before[number]
            start = at
        at += len(sentence)
    return [*cut, {**block, "text": text[start:].strip()}] if start else [*cut, block]
