"""The story of one capture of a page: what was found on it, what was measured, and where it and its images ended."""

from typing import Any

import pyarrow.dataset as ds

from pipeline.lookup import Lookup, among
from pipeline.why.fates import fates
from pipeline.why.named import Place
from pipeline.why.pictures import pictures
from pipeline.why.samples import documents
from schemas.tables import CAPTIONS, MEASURES, PAGES, REJECTIONS

OF_PAGE = ("record", "page", "document", "paragraph")
Rows = list[dict[str, Any]]


def page_story(run: Lookup, place: Place) -> dict[str, Any]:
    """Tell what became of a capture. What is not known is left out; steps that have not run are named."""
    page_id, warc_file, warc_offset = place
    story: dict[str, Any] = {"page_id": page_id, "warc_file": warc_file, "warc_offset": warc_offset}
    here = (ds.field("warc_file") == warc_file) & (ds.field("warc_offset") == warc_offset)
    mine = ds.field("page_id") == page_id
    if page_id is not None:
        here &= mine
    ledger = run.find(REJECTIONS, here)
    for page in run.find(PAGES, here, *(c.name for c in PAGES.columns)):
        blocks = page.pop("blocks")
        captions = _once(run.find(CAPTIONS, mine))
        measured = run.find(MEASURES, here, "measures")
        texts = [b["text"] for b in blocks if b["kind"] == "text"]
        story |= page
        story["words"], story["texts"] = sum(len(t.split()) for t in texts), len(texts)
        story["measures"] = dict(measured[0]["measures"]) if measured else None
        story |= pictures(run, place, blocks, captions, ledger)
    if "url" not in story:
        story["url"] = next((r["url"] for r in ledger if r["url"]), None)
    story["rejections"] = fates(ledger, *OF_PAGE)
    story["stands_for"] = sorted({r["page_id"] for r in run.find(REJECTIONS, _named(page_id), "page_id")})
    found = documents(run, mine & among("corpus", ["interleaved", "text"]))
    story["documents"] = [d for d in found if (d["warc_file"], d["warc_offset"]) == (warc_file, warc_offset)]
    story["not_run"] = run.not_run
    return story


def _named(page_id: str | None) -> ds.Expression:
    return (ds.field("detail") == page_id) & (ds.field("level") == "page") & (ds.field("step") == "dedup")


def _once(captions: Rows) -> Rows:
    return list({(c["image_id"], c["caption"]): c for c in captions}.values())
