"""What became of one page or image, traced through the tables of a run."""

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

_TOLD = ("step", "rule", "level", "block", "measure", "threshold", "detail")


def outcomes(rows: Iterable[dict[str, Any]], *levels: str) -> list[dict[str, Any]]:
    """Tell the rejections of some levels, or of all; the same one is told once."""
    told = []
    for row in rows:
        if levels and row["level"] not in levels:
            continue
        known = {name: row[name] for name in _TOLD if row[name] is not None}
        fate = {**known, "meaning": BY_CODE[row["rule"]].meaning if row["rule"] in BY_CODE else ""}
        if fate not in told:
            told.append(fate)
    return told


Place = tuple[str | None, str, int]  # page_id, warc_file, warc_offset; the id is null where a record had no page in it
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")


@dataclass
class Match:
    captures: list[Place] = field(default_factory=list)
    images: dict[str, str | None] = field(default_factory=dict)  # id to address, where it is known
    unknown: str = ""  # what to say when there is nothing


def find(run: Lookup, name: str) -> Match:
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
    return Match(
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


def _by_address(run: Lookup, urls: list[str]) -> Match:
    here, identities = among("url", urls), {image_id(url): url for url in urls}
    of_place = here & ds.field("image_id").is_null() & ds.field("warc_file").is_valid()
    rejected = run.find(REJECTIONS, of_place, *CAPTURE, "rule")
    pages = [row for row in rejected if row["rule"] != "NOT_HTML"]
    captures = _places(run.find(PAGES, here, *CAPTURE) + pages)
    known = among("image_id", list(identities))
    found = {r["image_id"] for table in (IMAGES, CAPTIONS, REJECTIONS) for r in run.find(table, known, "image_id")}
    if not found and not captures:  # it may be in the text of a page that was rejected, and never asked for
        shown = [url for url in urls if run.holding(PAGES, "image_url", [url], "page_id")]
        found = {image_id(url) for url in shown}
    if not found and not captures:  # an archived response that is no page: an image's own is no news of the image
        captures = _places(rejected)
    return Match(captures, {identity: identities[identity] for identity in sorted(found)})


def _places(rows: list[dict[str, Any]]) -> list[Place]:
    """Return the captures that rows name, each once. Of one page several can stand in the archives."""
    return list(dict.fromkeys((r["page_id"], r["warc_file"], r["warc_offset"]) for r in rows if r["warc_file"]))


FIELDS = ("corpus", "key", *CAPTURE)


def documents(run: Lookup, where: pc.Expression) -> list[dict[str, Any]]:
    """Find documents, and of each `tar` and `position`, the samples before it there; null where no shard holds it."""
    found = run.find(DOCUMENTS, where, *FIELDS)
    places = _places_in_shards(run, {(d["corpus"], d["key"]) for d in found})
    nowhere = {"tar": None, "position": None}
    return [{**d, **places.get((d["corpus"], d["key"]), nowhere)} for d in found]


def _places_in_shards(run: Lookup, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Look for samples in the indexes of their corpora, until all are found."""
    files = run.manifests["shard"].files["shards"] if "shard" in run.manifests else []
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for tar, index in zip(files[::2], files[1::2], strict=True):
        corpus = tar.split("/")[1]
        keys = {key for of, key in wanted if of == corpus and (of, key) not in found}
        if not keys:
            continue
        with run.store.fs.open(run.store.at(index), "rb") as file:
            column = pq.read_table(file, columns=["key"], page_checksum_verification=True)["key"]
        hits = pc.indices_nonzero(pc.is_in(column, pa.array(sorted(keys)))).to_pylist()
        found |= {(corpus, column[i].as_py()): {"tar": tar, "position": i} for i in hits}
    return found


def trace_image(run: Lookup, image: str, url: str | None) -> dict[str, Any]:
    """Tell what became of an image. What is not known is left out; steps that have not run are named."""
    mine = ds.field("image_id") == image
    story: dict[str, Any] = {"image_id": image, "image_url": url, "pages": _pages(run, image, url)}
    for row in run.find(IMAGES, mine):
        story |= {name: value for name, value in row.items() if value is not None}
    for row in run.find(NEAR_DUPLICATE_IMAGES, mine):
        alike = run.find(NEAR_DUPLICATE_IMAGES, ds.field("cluster") == row["cluster"], "image_id")
        story |= {"cluster": row["cluster"], "near_duplicates": sorted({a["image_id"] for a in alike} - {image})}
    for row in run.find(SAFETY, mine):
        story["unsafe"] = row["unsafe"]
    story["rejections"] = [
        {**fate, "page_id": row["page_id"]} if row["page_id"] else fate
        for row in run.find(REJECTIONS, mine)
        for fate in outcomes([row])
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


_FETCHED = ("image_id", "status", "error", "width", "height")
Rows = list[dict[str, Any]]


def image_outcomes(run: Lookup, place: Place, blocks: Rows, captions: Rows, of_page: Rows) -> dict[str, Rows]:
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
        ends = outcomes(r for r in ledger if r["image_id"] == image)
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


OF_PAGE = ("record", "page", "document", "paragraph")


def trace_page(run: Lookup, place: Place) -> dict[str, Any]:
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
        story |= image_outcomes(run, place, blocks, captions, ledger)
    if "url" not in story:
        story["url"] = next((r["url"] for r in ledger if r["url"]), None)
    story["rejections"] = outcomes(ledger, *OF_PAGE)
    story["stands_for"] = sorted({r["page_id"] for r in run.find(REJECTIONS, _named(page_id), "page_id")})
    found = documents(run, mine & among("corpus", ["interleaved", "text"]))
    story["documents"] = [d for d in found if (d["warc_file"], d["warc_offset"]) == (warc_file, warc_offset)]
    story["not_run"] = run.not_run
    return story


def _named(page_id: str | None) -> ds.Expression:
    return (ds.field("detail") == page_id) & (ds.field("level") == "page") & (ds.field("step") == "dedup")


def _once(captions: Rows) -> Rows:
    return list({(c["image_id"], c["caption"]): c for c in captions}.values())


__all__ = ["why"]


def why(directory: str, name: str) -> dict[str, list[dict[str, Any]]]:
    """Tell the stories of what an id or address names: `pages`, a story for each capture in time order, and `images`.

    Raises: PathError when nothing of a run is there, or nothing in it goes by the name.
    """
    run = Lookup(directory)
    named = find(run, name)
    pages = sorted((trace_page(run, place) for place in named.captures), key=lambda s: s.get("captured_at") or "")
    images = [trace_image(run, image, url) for image, url in named.images.items()]
    if not pages and not images:
        raise PathError(named.unknown)
    return {"pages": pages, "images": images}
