"""A page and what is known of its images, to a document and a reason for everything left out of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from filters import DOCUMENT_FILTERS
from pipeline.assign import place
from pipeline.filter import held_against, judge, text_of
from schemas.recipe import Recipe
from schemas.tables import DOCUMENTS, PAGES, REJECTIONS, rejection

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


def assemble_pages(recipe: Recipe) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that turns batches of PAGES_WITH_IMAGES into batches of ASSEMBLED, row by row."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
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
    return held_against(judge(batch, DOCUMENT_FILTERS, recipe), batch.num_rows)


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
