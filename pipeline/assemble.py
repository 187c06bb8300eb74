"""Turn a page and its images into a document, with a rejection for every dropped item."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from filters import DOCUMENT_FILTERS
from pipeline.filter import apply_filters, collect_rejections, join_text
from pipeline.score.segments import sentences
from schemas.recipe import Recipe
from schemas.tables import DOCUMENTS, PAGES, REJECTIONS, Batches, caption_key, rejection

Place = tuple[int, int]  # index of a block on the page, index of a sentence in the block


def assign(scores: np.ndarray) -> list[int]:
    """Assign each image its own sentence so that the total score is maximal.

    If there are more images than sentences, each remaining image gets its best sentence.
    Args: scores, images x sentences, with at least one sentence. Returns: the index of a sentence for each image.
    Source: MMC4, arXiv 2304.06939, and its code.
    """
    from scipy.optimize import linear_sum_assignment

    places: list[int] = scores.argmax(axis=1).tolist()
    for image, sentence in zip(*linear_sum_assignment(scores, maximize=True), strict=True):
        places[image] = int(sentence)
    return places


def place(blocks: dict[int, dict[str, Any]], scores: dict[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a document's blocks with each image before its assigned sentence, and with its score for that sentence.

    A text block is split before a sentence with images. Images of one sentence keep the page's order.
    Args: blocks maps an index on the page to a block of the document; scores maps the index of each image to its scores
    with all sentences of the page: `block`, `sentence`, `score`.
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
            placed += _split(block, {sentence: images for (b, sentence), images in before.items() if b == index})
    return placed


def _split(block: dict[str, Any], before: dict[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Split a text block before each sentence with images, and insert them there."""
    text, parts = block["text"], []
    start = at = 0
    for number, sentence in enumerate(sentences(text)):
        at = text.index(sentence, at)
        if number in before:
            if text[start:at].strip():
                parts.append({**block, "text": text[start:at].strip()})
            parts += before[number]
            start = at
        at += len(sentence)
    return [*parts, {**block, "text": text[start:].strip()}] if start else [*parts, block]


SCORES = pa.list_(pa.struct([("block", pa.int32()), ("sentence", pa.int32()), ("score", pa.float32())]))
USABLE = pa.list_(
    pa.struct(
        [
            ("block", pa.int32()),
            ("image_id", pa.string()),
            ("look", pa.string()),
            ("score", pa.float32()),
            ("scores", SCORES),
        ]
    )
)
"""A page's images that were fetched, decoded and kept by dedup.

look is equal for images that may not occur twice in a document; score is the image's best score with the page, null
when not scored; scores holds all its scores if images are placed by assignment, else null.
"""

PAGES_WITH_IMAGES = PAGES.schema.append(pa.field("usable", USABLE))
REJECTED = pa.list_(pa.struct([pa.field(c.name, c.type) for c in REJECTIONS.columns]))
ASSEMBLED = pa.schema(
    [*(f.with_nullable(True).remove_metadata() for f in DOCUMENTS.schema), pa.field("rejected", REJECTED)]
)
"""A document, with a null `corpus` when the page is dropped; and its rejections."""


def assemble_pages(recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of PAGES_WITH_IMAGES into batches of ASSEMBLED, row by row."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            documents = [_draft(page, recipe) for page in batch.to_pylist()]
            for document, rejections in zip(documents, _apply_filters(documents, recipe), strict=True):
                _choose_corpus(document, rejections, recipe)
            yield pa.RecordBatch.from_pylist(documents, schema=ASSEMBLED)

    return run


def _draft(page: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Make a document from a page, with a rejection for each dropped image; text blocks are unchanged."""
    usable = {u["block"]: u for u in page.pop("usable") or []}
    document = {**page, "key": page["page_id"], "rejected": [], "corpus": None}
    is_assigned = recipe.assemble.placement == "assignment"
    blocks: dict[int, dict[str, Any]] = {}
    seen: dict[str, str] = {}
    for index, block in enumerate(page["blocks"]):
        if block["kind"] == "text":
            blocks[index] = {**block, "image_id": None, "score": None}
            continue
        image = usable.get(index)
        if image is None:  # already rejected by fetch or dedup
            continue
        ids = {"image_id": image["image_id"]}
        reason = _image_reason(image, seen, recipe)
        if reason is None:
            seen[image["look"]] = image["image_id"]
            blocks[index] = {**block, **ids, "score": image["score"]}
        else:
            document["rejected"].append(_rejection(page, "image", **reason, **ids, url=block["image_url"]))
    scores = {index: usable[index]["scores"] for index in blocks if index in usable}
    document["blocks"] = place(blocks, scores) if is_assigned and scores else list(blocks.values())
    return document


def _image_reason(image: dict[str, Any], seen: dict[str, str], recipe: Recipe) -> dict[str, Any] | None:
    if image["look"] in seen:
        return {"rule": "REPEATED_IMAGE", "detail": seen[image["look"]]}
    bound = recipe.score.min_image_score
    if image["score"] is None:  # with clip enabled, the text is missing or the image cannot be decoded
        if recipe.clip.enabled and (bound is not None or recipe.assemble.placement == "assignment"):
            return {"rule": "LOW_SCORE", "threshold": bound}
    elif bound is not None and image["score"] < bound:
        return {"rule": "LOW_SCORE", "measure": image["score"], "threshold": bound}
    max_images = recipe.assemble.max_images
    if max_images is not None and len(seen) >= max_images:
        return {"rule": "TOO_MANY_IMAGES", "measure": len(seen) + 1, "threshold": max_images}
    return None


def _apply_filters(documents: list[dict[str, Any]], recipe: Recipe) -> list[list[dict[str, Any]]]:
    """Run the document filters; return the rejections of each document's interleaved form."""
    batch = pa.RecordBatch.from_pydict(
        {
            "page_id": pa.array([d["page_id"] for d in documents], pa.string()),
            "kinds": pa.array([[b["kind"] for b in d["blocks"]] for d in documents], pa.list_(pa.string())),
            "text": pa.array([join_text(d["blocks"]) for d in documents], pa.string()),
        }
    )
    return collect_rejections(apply_filters(batch, DOCUMENT_FILTERS, recipe), batch.num_rows)


def _choose_corpus(document: dict[str, Any], rejections: list[dict[str, Any]], recipe: Recipe) -> None:
    """Set the document's corpus: interleaved, else text, else none."""
    kinds = {block["kind"] for block in document["blocks"]}
    if "image" in kinds and "interleaved" in recipe.corpora:
        document["rejected"] += [_rejection(document, "document", **r) for r in rejections]
        if not rejections:
            document["corpus"] = "interleaved"
            return
    if "text" in kinds and "text" in recipe.corpora:
        document["corpus"] = "text"
        document["blocks"] = [b for b in document["blocks"] if b["kind"] == "text"]
    else:
        document["rejected"].append(_rejection(document, "page", rule="NO_CORPUS"))


def _rejection(page: dict[str, Any], level: str, rule: str, **known: Any) -> dict[str, Any]:
    origin = {name: page[name] for name in ("page_id", "url", "warc_file", "warc_offset")}
    return rejection("assemble", rule, level, **{**origin, **known})


_PAGE = tuple(c.name for c in PAGES.columns if c.name in DOCUMENTS.schema.names and c.name != "blocks")
CAPTIONED = pa.schema(
    [
        *(PAGES.schema.field(name) for name in _PAGE),
        pa.field("image_id", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("text", pa.string()),
        pa.field("score", pa.float32()),
    ]
)
_EMPTY = dict.fromkeys(("text", "image_url", "alt", "caption", "width", "height", "image_id", "score"))


def caption_documents(batches: Batches) -> Batches:
    """Turn batches of CAPTIONED into batches of `documents`: an image block, then its caption as a text block."""
    for batch in batches:
        documents = []
        for row in batch.to_pylist():
            image = {name: row[name] for name in ("image_id", "image_url", "score")}
            blocks = [{**_EMPTY, **image, "kind": "image"}, {**_EMPTY, "kind": "text", "text": row["text"]}]
            page = {name: row[name] for name in _PAGE}
            key = caption_key(row["image_id"], row["text"])
            documents.append({**page, "key": key, "corpus": "caption", "blocks": blocks})
        yield DOCUMENTS.batch(documents)
