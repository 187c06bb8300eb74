"""A page and what is known of its images, to a document and a reason for everything left out of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from filters import DOCUMENT_FILTERS
from pipeline.filter import apply_filters, held_against, text_of
from pipeline.score.segments import sentences
from schemas.recipe import Recipe
from schemas.tables import DOCUMENTS, PAGES, REJECTIONS, Batches, caption_key, rejection

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
"""A page's images that were fetched, decoded and are no duplicate.

look is the same for images that may not stand on one page together; score is the best of the image with the page, null
when it was not scored; scores are all of them where images are assigned by these, else null.
"""

PAGES_WITH_IMAGES = PAGES.schema.append(pa.field("usable", USABLE))
REJECTED = pa.list_(pa.struct([pa.field(c.name, c.type) for c in REJECTIONS.columns]))
ASSEMBLED = pa.schema(
    [*(f.with_nullable(True).remove_metadata() for f in DOCUMENTS.schema), pa.field("rejected", REJECTED)]
)
"""A document, its `corpus` null when the page ends here; and the rejections on the way."""


def assemble_pages(recipe: Recipe) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of PAGES_WITH_IMAGES into batches of ASSEMBLED, row by row."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            documents = [_draft(page, recipe) for page in batch.to_pylist()]
            for document, against in zip(documents, _judged(documents, recipe), strict=True):
                _place(document, against, recipe)
            yield pa.RecordBatch.from_pylist(documents, schema=ASSEMBLED)

    return run


def _draft(page: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Take out of a page every image that cannot stay; text blocks are never touched."""
    usable = {u["block"]: u for u in page.pop("usable") or []}
    document = {**page, "key": page["page_id"], "rejected": [], "corpus": None}
    assigned = recipe.assemble.placement == "assignment"
    blocks: dict[int, dict[str, Any]] = {}
    seen: dict[str, str] = {}
    for index, block in enumerate(page["blocks"]):
        if block["kind"] == "text":
            blocks[index] = {**block, "image_id": None, "score": None}
            continue
        image = usable.get(index)
        if image is None:  # the ledger has its reason already, from fetch or dedup
            continue
        known = {"image_id": image["image_id"]}
        verdict = _image_verdict(image, seen, recipe)
        if verdict is None:
            seen[image["look"]] = image["image_id"]
            blocks[index] = {**block, **known, "score": image["score"]}
        else:
            document["rejected"].append(_entry(page, "image", **verdict, **known, url=block["image_url"]))
    scores = {index: usable[index]["scores"] for index in blocks if index in usable}
    document["blocks"] = place(blocks, scores) if assigned and scores else list(blocks.values())
    return document


def _image_verdict(image: dict[str, Any], seen: dict[str, str], recipe: Recipe) -> dict[str, Any] | None:
    if image["look"] in seen:
        return {"rule": "REPEATED_IMAGE", "detail": seen[image["look"]]}
    bound = recipe.score.min_image_score
    if image["score"] is None:  # with clip off nothing has a score; else there was no text, or no picture, to compare
        if recipe.clip.enabled and (bound is not None or recipe.assemble.placement == "assignment"):
            return {"rule": "LOW_SCORE", "threshold": bound}
    elif bound is not None and image["score"] < bound:
        return {"rule": "LOW_SCORE", "measure": image["score"], "threshold": bound}
    most = recipe.assemble.max_images
    if most is not None and len(seen) >= most:
        return {"rule": "TOO_MANY_IMAGES", "measure": len(seen) + 1, "threshold": most}
    return None


def _judged(documents: list[dict[str, Any]], recipe: Recipe) -> list[list[dict[str, Any]]]:
    """Run the document filters; return what speaks against the interleaved form of each."""
    batch = pa.RecordBatch.from_pydict(
        {
            "page_id": pa.array([d["page_id"] for d in documents], pa.string()),
            "kinds": pa.array([[b["kind"] for b in d["blocks"]] for d in documents], pa.list_(pa.string())),
            "text": pa.array([text_of(d["blocks"]) for d in documents], pa.string()),
        }
    )
    return held_against(apply_filters(batch, DOCUMENT_FILTERS, recipe), batch.num_rows)


def _place(document: dict[str, Any], against: list[dict[str, Any]], recipe: Recipe) -> None:
    """Decide where the page ends: as interleaved, else as text, else nowhere."""
    kinds = {block["kind"] for block in document["blocks"]}
    if "image" in kinds and "interleaved" in recipe.corpora:
        document["rejected"] += [_entry(document, "document", **a) for a in against]
        if not against:
            document["corpus"] = "interleaved"
            return
    if "text" in kinds and "text" in recipe.corpora:
        document["corpus"] = "text"
        document["blocks"] = [b for b in document["blocks"] if b["kind"] == "text"]
    else:
        document["rejected"].append(_entry(document, "page", rule="NO_CORPUS"))


def _entry(page: dict[str, Any], level: str, rule: str, **known: Any) -> dict[str, Any]:
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
    """Turn batches of CAPTIONED into batches of `documents`: an image block, then its words as a text block."""
    for batch in batches:
        documents = []
        for row in batch.to_pylist():
            image = {name: row[name] for name in ("image_id", "image_url", "score")}
            blocks = [{**_EMPTY, **image, "kind": "image"}, {**_EMPTY, "kind": "text", "text": row["text"]}]
            page = {name: row[name] for name in _PAGE}
            key = caption_key(row["image_id"], row["text"])
            documents.append({**page, "key": key, "corpus": "caption", "blocks": blocks})
        yield DOCUMENTS.batch(documents)
