"""Trace a page or image through the tables of a run."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipeline.io.tables import Lookup, among
from schemas.errors import PathError
from schemas.reasons import BY_CODE
from schemas.tables import (
    CAPTIONS,
    CAPTURE,
    DOCUMENTS,
    ID_LENGTH,
    IMAGES,
    MEASURES,
    NEAR_DUPLICATE_IMAGES,
    PAGES,
    REJECTIONS,
    SAFETY,
    SCORES,
    caption_key,
    image_id,
)

_COLUMNS = ("step", "rule", "level", "block", "measure", "threshold", "detail")


def outcomes(rows: Iterable[dict[str, Any]], *levels: str) -> list[dict[str, Any]]:
    """Return the distinct rejections of some levels, or of all, each with its meaning."""
    found = []
    for row in rows:
        if levels and row["level"] not in levels:
            continue
        known = {name: row[name] for name in _COLUMNS if row[name] is not None}
        outcome = {**known, "meaning": BY_CODE[row["rule"]].meaning if row["rule"] in BY_CODE else ""}
        if outcome not in found:
            found.append(outcome)
    return found


Place = tuple[str | None, str, int]  # page_id, warc_file, warc_offset; the id is None for a record without page
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")


@dataclass
class Match:
    captures: list[Place] = field(default_factory=list)
    images: dict[str, str | None] = field(default_factory=dict)  # id to URL, if known
    unknown: str = ""  # message if there is no match


def find(run: Lookup, name: str) -> Match:
    """Find pages and images by an id or a URL; if there is none, by variants of the URL."""
    if _ID.fullmatch(name):
        match = _by_id(run, name)
        match.unknown = (
            f"{name} is not a page, image, sample or rejection of {run.store.root}; was its archive among the inputs? "
            "You can also give a URL"
        )
        return match
    others = _variants(name)
    match = _by_url(run, [name])
    if not (match.captures or match.images) and others:
        match = _by_url(run, others)
    if match.captures or match.images:
        return match
    also = f" (nor is {', '.join(others)})" if others else ""
    kind = "" if others else f"; it is neither a URL nor an id of {ID_LENGTH} hex digits"
    return Match(
        unknown=f"{name} is not among the pages, images and rejections of {run.store.root}{also}{kind}; "
        "was its archive among the inputs?"
    )


def _variants(url: str) -> list[str]:
    """Return variants of a URL: without the fragment, with or without a slash, http or https."""
    if not url.startswith(("http://", "https://")):
        return []
    bare = url.partition("#")[0]
    slashed = [bare, bare.removesuffix("/") if bare.endswith("/") else bare + "/"]
    other = {"http:": "https:", "https": "http"}
    found = [*slashed, *(other[u[:5]] + u[5:] for u in slashed)]
    return [u for u in dict.fromkeys(found) if u != url]


def _by_id(run: Lookup, name: str) -> Match:
    here = ds.field("page_id") == name
    captures = _places(run.find(PAGES, here, *CAPTURE) + run.find(REJECTIONS, here, *CAPTURE))
    if captures:
        return Match(captures)
    here = ds.field("image_id") == name
    for table in (IMAGES, CAPTIONS):
        found = run.find(table, here, "image_url")
        if found:
            return Match(images={name: found[0]["image_url"]})
    rejected = run.find(REJECTIONS, here, "url")
    if rejected:
        return Match(images={name: next((r["url"] for r in rejected if r["url"]), None)})
    for sample in run.find(DOCUMENTS, ds.field("key") == name, "corpus", "blocks"):
        return Match(images={b["image_id"]: b["image_url"] for b in sample["blocks"] if b["kind"] == "image"})
    return Match()


def _by_url(run: Lookup, urls: list[str]) -> Match:
    here, identities = among("url", urls), {image_id(url): url for url in urls}
    of_place = here & ds.field("image_id").is_null() & ds.field("warc_file").is_valid()
    rejected = run.find(REJECTIONS, of_place, *CAPTURE, "rule")
    pages = [row for row in rejected if row["rule"] != "NOT_HTML"]
    captures = _places(run.find(PAGES, here, *CAPTURE) + pages)
    known = among("image_id", list(identities))
    found = {r["image_id"] for table in (IMAGES, CAPTIONS, REJECTIONS) for r in run.find(table, known, "image_id")}
    if not found and not captures:  # it may be on a rejected page and not have been requested
        on_pages = [url for url in urls if run.holding(PAGES, "image_url", [url], "page_id")]
        found = {image_id(url) for url in on_pages}
    if not found and not captures:  # an archived response that is not a page, only relevant if it is not an image
        captures = _places(rejected)
    return Match(captures, {identity: identities[identity] for identity in sorted(found)})


def _places(rows: list[dict[str, Any]]) -> list[Place]:
    """Return the distinct captures of rows. A page can have several captures."""
    return list(dict.fromkeys((r["page_id"], r["warc_file"], r["warc_offset"]) for r in rows if r["warc_file"]))


FIELDS = ("corpus", "key", *CAPTURE)


def documents(run: Lookup, where: pc.Expression) -> list[dict[str, Any]]:
    """Find documents, each with its `tar` and its `position` among the tar's samples; None if in no shard."""
    found = run.find(DOCUMENTS, where, *FIELDS)
    places = _places_in_shards(run, {(d["corpus"], d["key"]) for d in found})
    unknown = {"tar": None, "position": None}
    return [{**d, **places.get((d["corpus"], d["key"]), unknown)} for d in found]


def _places_in_shards(run: Lookup, samples: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Find samples (corpus, key) in the indexes of their corpora."""
    files = run.manifests["shard"].files["shards"] if "shard" in run.manifests else []
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for tar, index in zip(files[::2], files[1::2], strict=True):
        corpus = tar.split("/")[1]
        keys = {key for of, key in samples if of == corpus and (of, key) not in found}
        if not keys:
            continue
        with run.store.fs.open(run.store.at(index), "rb") as file:
            column = pq.read_table(file, columns=["key"], page_checksum_verification=True)["key"]
        hits = pc.indices_nonzero(pc.is_in(column, pa.array(sorted(keys)))).to_pylist()
        found |= {(corpus, column[i].as_py()): {"tar": tar, "position": i} for i in hits}
    return found


def trace_image(run: Lookup, image: str, url: str | None) -> dict[str, Any]:
    """Return the trace of an image, without unknown values; `not_run` lists steps that have not run."""
    is_image = ds.field("image_id") == image
    trace: dict[str, Any] = {"image_id": image, "image_url": url, "pages": _pages(run, image, url)}
    for row in run.find(IMAGES, is_image):
        trace |= {name: value for name, value in row.items() if value is not None}
    for row in run.find(NEAR_DUPLICATE_IMAGES, is_image):
        alike = run.find(NEAR_DUPLICATE_IMAGES, ds.field("cluster") == row["cluster"], "image_id")
        trace |= {"cluster": row["cluster"], "near_duplicates": sorted({a["image_id"] for a in alike} - {image})}
    for row in run.find(SAFETY, is_image):
        trace["unsafe"] = row["unsafe"]
    trace["rejections"] = [
        {**outcome, "page_id": row["page_id"]} if row["page_id"] else outcome
        for row in run.find(REJECTIONS, is_image)
        for outcome in outcomes([row])
    ]
    is_kept_for = (ds.field("detail") == image) & (ds.field("level") == "image") & (ds.field("step") == "dedup")
    trace["stands_for"] = sorted({r["image_id"] for r in run.find(REJECTIONS, is_kept_for, "image_id")})
    keys = [d["key"] for d in run.holding(DOCUMENTS, "image_id", [image], *FIELDS)]
    trace["documents"] = documents(run, among("key", keys) & (ds.field("corpus") != "text"))
    trace["not_run"] = run.not_run
    return trace


def _pages(run: Lookup, image: str, url: str | None) -> list[dict[str, Any]]:
    """Return the pages with an image: its blocks, captions and scores on each."""
    is_image = ds.field("image_id") == image
    pages: dict[str, dict[str, Any]] = {}
    for row in run.holding(PAGES, "image_url", [url], "page_id", "url") if url else []:
        pages[row["page_id"]] = {"page_id": row["page_id"], "url": row["url"], "blocks": row["at"], "captions": []}
    captions = run.find(CAPTIONS, is_image, "page_id", "caption")
    others = sorted({c["page_id"] for c in captions} - pages.keys())
    for row in run.find(PAGES, among("page_id", others), "page_id", "url") if others else []:
        pages[row["page_id"]] = {**row, "blocks": [], "captions": []}
    scores = run.find(SCORES, is_image, "page_id", "block", "score")
    for page in pages.values():
        page["captions"] = list(dict.fromkeys(c["caption"] for c in captions if c["page_id"] == page["page_id"]))
        for name, in_caption in (("score", False), ("caption_score", True)):
            found = [s["score"] for s in scores if s["page_id"] == page["page_id"] and (s["block"] < 0) == in_caption]
            page[name] = max(found, default=None)
    return sorted(pages.values(), key=lambda page: page["page_id"])


_FETCHED = ("image_id", "status", "error", "width", "height")
Rows = list[dict[str, Any]]


def image_outcomes(run: Lookup, place: Place, blocks: Rows, captions: Rows, of_page: Rows) -> dict[str, Rows]:
    """Return the outcome of each image block and each caption pair of a page, as `images` and `captions`.

    Args: of_page holds all rejections of the page and its items.
    """
    on_page = ds.field("page_id") == place[0]
    ids = {image_id(b["image_url"]) for b in blocks if b["kind"] == "image"} | {c["image_id"] for c in captions}
    of_images = among("image_id", sorted(ids))
    about = _About(
        fetched={row["image_id"]: row for row in run.find(IMAGES, of_images, *_FETCHED)},
        # A rejection of an image from all pages has no page_id.
        everywhere=run.find(REJECTIONS, of_images & ds.field("page_id").is_null() & (ds.field("level") == "image")),
        scores=run.find(SCORES, on_page, "image_id", "block", "score"),
    )
    here = [r for r in of_page if r["level"] == "image"]
    of_pairs = run.find(REJECTIONS, on_page & (ds.field("level") == "caption"))
    keys = {caption_key(c["image_id"], c["caption"]): (c["image_id"], c["caption"]) for c in captions}
    samples = {keys[d["key"]]: d for d in documents(run, among("key", keys))}
    return {
        "images": _images(blocks, about, here, _kept(run, place)),
        "captions": _captions(captions, about, of_pairs, samples),
    }


@dataclass(frozen=True)
class _About:
    """Rows of the tables about a page's images, independent of their position on the page."""

    fetched: dict[str, dict[str, Any]]
    everywhere: Rows
    scores: Rows

    def image(self, image: str, rejections: Rows, in_caption: bool) -> dict[str, Any]:
        """Return the outcome of an image block or a caption pair; rejections are those that apply there."""
        scores = [s["score"] for s in self.scores if s["image_id"] == image and (s["block"] < 0) == in_caption]
        row = {name: value for name, value in self.fetched.get(image, {}).items() if value is not None}
        of_image = outcomes(r for r in rejections if r["image_id"] == image)
        return {**row, "image_id": image, "score": max(scores, default=None), "rejections": of_image}


def _images(blocks: Rows, about: _About, here: Rows, kept: set[str]) -> Rows:
    found: Rows = []
    for index, block in enumerate(blocks):
        if block["kind"] != "image":
            continue
        image = about.image(image_id(block["image_url"]), about.everywhere + here, in_caption=False)
        is_kept = image["image_id"] in kept and all(i["image_id"] != image["image_id"] for i in found)
        if is_kept:  # rejections apply to its later occurrences
            image["rejections"] = []
        found.append({**image, "image_url": block["image_url"], "block": index, "in_document": is_kept})
    for r in here:  # images that the page forbids are only in the rejections
        if r["step"] == "extract":
            image = about.image(r["image_id"], [r], in_caption=False)
            found.append({**image, "image_url": r["url"], "block": None, "in_document": False})
    return found


def _captions(captions: Rows, about: _About, of_pairs: Rows, samples: dict[tuple[str, str], dict[str, Any]]) -> Rows:
    found: Rows = []
    for c in captions:
        key = (c["image_id"], c["caption"])
        rejections = [r for r in of_pairs if (r["image_id"], r["detail"]) == key]
        pair = about.image(c["image_id"], about.everywhere + rejections, in_caption=True)
        found.append({**pair, "image_url": c["image_url"], "caption": c["caption"], "sample": samples.get(key)})
    for r in of_pairs:  # unusable captions are only in the rejections
        if r["step"] == "extract":
            pair = about.image(r["image_id"], [r], in_caption=True)
            found.append({**pair, "image_url": r["url"], "caption": r["detail"], "sample": None})
    return found


def _kept(run: Lookup, place: Place) -> set[str]:
    """Return the images in the page's interleaved document."""
    page_id, warc_file, warc_offset = place
    here = (ds.field("page_id") == page_id) & (ds.field("warc_file") == warc_file)
    here &= (ds.field("warc_offset") == warc_offset) & (ds.field("corpus") == "interleaved")
    return {b["image_id"] for d in run.find(DOCUMENTS, here, "blocks") for b in d["blocks"] if b["image_id"]}


OF_PAGE = ("record", "page", "document", "paragraph")


def trace_page(run: Lookup, place: Place) -> dict[str, Any]:
    """Return the trace of a capture, without unknown values; `not_run` lists steps that have not run."""
    page_id, warc_file, warc_offset = place
    trace: dict[str, Any] = {"page_id": page_id, "warc_file": warc_file, "warc_offset": warc_offset}
    of_capture = (ds.field("warc_file") == warc_file) & (ds.field("warc_offset") == warc_offset)
    of_page = ds.field("page_id") == page_id
    if page_id is not None:
        of_capture &= of_page
    rejections = run.find(REJECTIONS, of_capture)
    for page in run.find(PAGES, of_capture, *(c.name for c in PAGES.columns)):
        blocks = page.pop("blocks")
        captions = _distinct(run.find(CAPTIONS, of_page))
        measured = run.find(MEASURES, of_capture, "measures")
        texts = [b["text"] for b in blocks if b["kind"] == "text"]
        trace |= page
        trace["words"], trace["texts"] = sum(len(t.split()) for t in texts), len(texts)
        trace["measures"] = dict(measured[0]["measures"]) if measured else None
        trace |= image_outcomes(run, place, blocks, captions, rejections)
    if "url" not in trace:
        trace["url"] = next((r["url"] for r in rejections if r["url"]), None)
    trace["rejections"] = outcomes(rejections, *OF_PAGE)
    trace["stands_for"] = sorted({r["page_id"] for r in run.find(REJECTIONS, _is_kept_for(page_id), "page_id")})
    found = documents(run, of_page & among("corpus", ["interleaved", "text"]))
    trace["documents"] = [d for d in found if (d["warc_file"], d["warc_offset"]) == (warc_file, warc_offset)]
    trace["not_run"] = run.not_run
    return trace


def _is_kept_for(page_id: str | None) -> ds.Expression:
    """Match rejections of pages that dedup dropped in favour of a page."""
    return (ds.field("detail") == page_id) & (ds.field("level") == "page") & (ds.field("step") == "dedup")


def _distinct(captions: Rows) -> Rows:
    return list({(c["image_id"], c["caption"]): c for c in captions}.values())


def why(directory: str, name: str) -> dict[str, list[dict[str, Any]]]:
    """Trace an id or URL: `pages`, a trace of each capture in time order, and `images`.

    Raises: PathError when the folder has no finished step, or no page or image matches.
    """
    run = Lookup(directory)
    match = find(run, name)
    pages = sorted((trace_page(run, place) for place in match.captures), key=lambda t: t.get("captured_at") or "")
    images = [trace_image(run, image, url) for image, url in match.images.items()]
    if not pages and not images:
        raise PathError(match.unknown)
    return {"pages": pages, "images": images}
