"""What a person means by an id or an address: captures of a page, or images."""

import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow.dataset as ds

from pipeline.lookup import Lookup, among
from schemas.ids import ID_LENGTH, image_id
from schemas.tables import CAPTIONS, DOCUMENTS, IMAGES, PAGES, REJECTIONS

Place = tuple[str | None, str, int]  # page_id, warc_file, warc_offset; the id is null where a record had no page in it
_PLACE = ("page_id", "warc_file", "warc_offset")
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")


@dataclass
class Named:
    captures: list[Place] = field(default_factory=list)
    images: dict[str, str | None] = field(default_factory=dict)  # id to address, where it is known
    unknown: str = ""  # what to say when there is nothing


def find(run: Lookup, name: str) -> Named:
    """Find what goes by an id or an address; where none is as it is written, what people take for the same."""
    if _ID.fullmatch(name):
        named = _by_id(run, name)
        named.unknown = (
            f"{name} is no page, image or sample of {run.store.root}, and no rejection names it; was its archive among "
            "the inputs? An address can be asked for too"
        )
        return named
    others = _variants(name)
    named = _by_address(run, [name])
    if not (named.captures or named.images) and others:
        named = _by_address(run, others)
    if named.captures or named.images:
        return named
    also = f" (nor is {', '.join(others)})" if others else ""
    kind = "" if others else f"; it is neither an address nor an id, which has {ID_LENGTH} digits"
    return Named(
        unknown=f"{name} is not among the pages, images and rejections of {run.store.root}{also}{kind}; "
        "was its archive among the inputs?"
    )


def _variants(url: str) -> list[str]:
    """Return addresses that people take for the same: without the fragment, with or without a slash, http or https."""
    if not url.startswith(("http://", "https://")):
        return []
    bare = url.partition("#")[0]
    slashed = [bare, bare.removesuffix("/") if bare.endswith("/") else bare + "/"]
    other = {"http:": "https:", "https": "http"}
    found = [*slashed, *(other[u[:5]] + u[5:] for u in slashed)]
    return [u for u in dict.fromkeys(found) if u != url]


def _by_id(run: Lookup, name: str) -> Named:
    here = ds.field("page_id") == name
    captures = _places(run.find(PAGES, here, *_PLACE) + run.find(REJECTIONS, here, *_PLACE))
    if captures:
        return Named(captures)
    here = ds.field("image_id") == name
    for table in (IMAGES, CAPTIONS):
        found = run.find(table, here, "image_url")
        if found:
            return Named(images={name: found[0]["image_url"]})
    rejected = run.find(REJECTIONS, here, "url")
    if rejected:
        return Named(images={name: next((r["url"] for r in rejected if r["url"]), None)})
    for sample in run.find(DOCUMENTS, ds.field("key") == name, "corpus", "blocks"):
        return Named(images={b["image_id"]: b["image_url"] for b in sample["blocks"] if b["kind"] == "image"})
    return Named()


def _by_address(run: Lookup, urls: list[str]) -> Named:
    here, identities = among("url", urls), {image_id(url): url for url in urls}
    of_place = here & ds.field("image_id").is_null() & ds.field("warc_file").is_valid()
    rejected = run.find(REJECTIONS, of_place, *_PLACE, "rule")
    pages = [row for row in rejected if row["rule"] != "NOT_HTML"]
    captures = _places(run.find(PAGES, here, *_PLACE) + pages)
    known = among("image_id", list(identities))
    found = {r["image_id"] for table in (IMAGES, CAPTIONS, REJECTIONS) for r in run.find(table, known, "image_id")}
    if not found and not captures:  # it may be in the text of a page that was rejected, and never asked for
        shown = [url for url in urls if run.holding(PAGES, "image_url", [url], "page_id")]
        found = {image_id(url) for url in shown}
    if not found and not captures:  # an archived response that is no page: an image's own is no news of the image
        captures = _places(rejected)
    return Named(captures, {identity: identities[identity] for identity in sorted(found)})


def _places(rows: list[dict[str, Any]]) -> list[Place]:
    """Return the captures that rows name, each once. Of one page several can stand in the archives."""
    return list(dict.fromkeys((r["page_id"], r["warc_file"], r["warc_offset"]) for r in rows if r["warc_file"]))
