"""The story of one image: where it stands, what its server said, what it is like, and which samples hold it."""

from typing import Any

import pyarrow.dataset as ds

from pipeline.lookup import Lookup, among
from pipeline.why.fates import fates
from pipeline.why.samples import FIELDS, documents
from schemas.tables import CAPTIONS, DOCUMENTS, IMAGES, LOOKALIKES, PAGES, REJECTIONS, SAFETY, SCORES


def image_story(run: Lookup, image: str, url: str | None) -> dict[str, Any]:
    """Tell what became of an image. What is not known is left out; steps that have not run are named."""
    mine = ds.field("image_id") == image
    story: dict[str, Any] = {"image_id": image, "image_url": url, "pages": _pages(run, image, url)}
    for row in run.find(IMAGES, mine):
        story |= {name: value for name, value in row.items() if value is not None}
    for row in run.find(LOOKALIKES, mine):
        alike = run.find(LOOKALIKES, ds.field("cluster") == row["cluster"], "image_id")
        story |= {"cluster": row["cluster"], "lookalikes": sorted({a["image_id"] for a in alike} - {image})}
    for row in run.find(SAFETY, mine):
        story["unsafe"] = row["unsafe"]
    story["rejections"] = [
        {**fate, "page_id": row["page_id"]} if row["page_id"] else fate
        for row in run.find(REJECTIONS, mine)
        for fate in fates([row])
    ]
    survives = (ds.field("detail") == image) & (ds.field("level") == "image") & (ds.field("step") == "dedup")
    story["stands_for"] = sorted({r["image_id"] for r in run.find(REJECTIONS, survives, "image_id")})
    holding = [d["key"] for d in run.holding(DOCUMENTS, "image_id", [image], *FIELDS)]
    story["documents"] = documents(run, among("key", holding) & (ds.field("corpus") != "text"))
    story["not_run"] = run.not_run
    return story


def _pages(run: Lookup, image: str, url: str | None) -> list[dict[str, Any]]:
    """Return the pages on which an image stands: in which blocks, with which captions, and how well it fits."""
    mine = ds.field("image_id") == image
    pages: dict[str, dict[str, Any]] = {}
    for row in run.holding(PAGES, "image_url", [url], "page_id", "url") if url else []:
        pages[row["page_id"]] = {"page_id": row["page_id"], "url": row["url"], "blocks": row["at"], "captions": []}
    captions = run.find(CAPTIONS, mine, "page_id", "caption")
    beside = sorted({c["page_id"] for c in captions} - pages.keys())
    for row in run.find(PAGES, among("page_id", beside), "page_id", "url") if beside else []:
        pages[row["page_id"]] = {**row, "blocks": [], "captions": []}
    scores = run.find(SCORES, mine, "page_id", "block", "score")
    for page in pages.values():
        said = [c["caption"] for c in captions if c["page_id"] == page["page_id"]]
        page["captions"] = list(dict.fromkeys(said))
        for name, in_caption in (("score", False), ("caption_score", True)):
            found = [s["score"] for s in scores if s["page_id"] == page["page_id"] and (s["block"] < 0) == in_caption]
            page[name] = max(found, default=None)
    return sorted(pages.values(), key=lambda page: page["page_id"])
