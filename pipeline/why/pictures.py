"""What became of the images in a page's text, and of its pairs of image and caption."""

from dataclasses import dataclass
from typing import Any

import pyarrow.dataset as ds

from pipeline.lookup import Lookup, among
from pipeline.why.fates import fates
from pipeline.why.named import Place
from pipeline.why.samples import documents
from schemas.ids import caption_key, image_id
from schemas.tables import DOCUMENTS, IMAGES, REJECTIONS, SCORES

_FETCHED = ("image_id", "status", "error", "width", "height")
Rows = list[dict[str, Any]]


def pictures(run: Lookup, place: Place, blocks: Rows, captions: Rows, of_page: Rows) -> dict[str, Rows]:
    """Tell of each image in the text and of each pair how it ended, as `images` and `captions`.

    Args: of_page is what the ledger has against the page and what stands on it.
    """
    mine = ds.field("page_id") == place[0]
    ids = {image_id(b["image_url"]) for b in blocks if b["kind"] == "image"} | {c["image_id"] for c in captions}
    of_images = among("image_id", sorted(ids))
    about = _About(
        fetched={row["image_id"]: row for row in run.find(IMAGES, of_images, *_FETCHED)},
        # Where an image goes for every page, the ledger names no page.
        everywhere=run.find(REJECTIONS, of_images & ds.field("page_id").is_null() & (ds.field("level") == "image")),
        scores=run.find(SCORES, mine, "image_id", "block", "score"),
    )
    here = [r for r in of_page if r["level"] == "image"]
    of_pairs = run.find(REJECTIONS, mine & (ds.field("level") == "caption"))
    keys = {caption_key(c["image_id"], c["caption"]): (c["image_id"], c["caption"]) for c in captions}
    samples = {keys[d["key"]]: d for d in documents(run, among("key", keys))}
    return {
        "images": _images(blocks, about, here, _kept(run, place)),
        "captions": _captions(captions, about, of_pairs, samples),
    }


@dataclass(frozen=True)
class _About:
    """What the tables say of a page's images, whichever place on the page is meant."""

    fetched: dict[str, dict[str, Any]]
    everywhere: Rows
    scores: Rows

    def image(self, image: str, ledger: Rows, in_caption: bool) -> dict[str, Any]:
        """Tell of one image in the text or in a caption; ledger is what speaks against it there."""
        best = [s["score"] for s in self.scores if s["image_id"] == image and (s["block"] < 0) == in_caption]
        row = {name: value for name, value in self.fetched.get(image, {}).items() if value is not None}
        ends = fates(r for r in ledger if r["image_id"] == image)
        return {**row, "image_id": image, "score": max(best, default=None), "rejections": ends}


def _images(blocks: Rows, about: _About, here: Rows, kept: set[str]) -> Rows:
    told: Rows = []
    for index, block in enumerate(blocks):
        if block["kind"] != "image":
            continue
        image = about.image(image_id(block["image_url"]), about.everywhere + here, in_caption=False)
        stays = image["image_id"] in kept and all(i["image_id"] != image["image_id"] for i in told)
        if stays:  # what the ledger has against it is meant for where it stands again
            image["rejections"] = []
        told.append({**image, "image_url": block["image_url"], "block": index, "in_document": stays})
    for r in here:  # those that the page forbids are in the ledger alone
        if r["step"] == "extract":
            image = about.image(r["image_id"], [r], in_caption=False)
            told.append({**image, "image_url": r["url"], "block": None, "in_document": False})
    return told


def _captions(captions: Rows, about: _About, of_pairs: Rows, samples: dict[tuple[str, str], dict[str, Any]]) -> Rows:
    told: Rows = []
    for c in captions:
        key = (c["image_id"], c["caption"])
        against = [r for r in of_pairs if (r["image_id"], r["detail"]) == key]
        pair = about.image(c["image_id"], about.everywhere + against, in_caption=True)
        told.append({**pair, "image_url": c["image_url"], "caption": c["caption"], "sample": samples.get(key)})
    for r in of_pairs:  # those whose words are unusable are in the ledger alone
        if r["step"] == "extract":
            pair = about.image(r["image_id"], [r], in_caption=True)
            told.append({**pair, "image_url": r["url"], "caption": r["detail"], "sample": None})
    return told


def _kept(run: Lookup, place: Place) -> set[str]:
    """Return the images that stay in the page's document."""
    page_id, warc_file, warc_offset = place
    here = (ds.field("page_id") == page_id) & (ds.field("warc_file") == warc_file)
    here &= (ds.field("warc_offset") == warc_offset) & (ds.field("corpus") == "interleaved")
    return {b["image_id"] for d in run.find(DOCUMENTS, here, "blocks") for b in d["blocks"] if b["image_id"]}
