"""Paragraphs and images that the filter step drops: each has a rejection, and later steps see the page without it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fetching import rows
from handmade import commit, picture, row, text

from jobs import fetch, filter
from jobs.recipes import load
from jobs.run import run
from jobs.step import Context
from jobs.tables import drop_rejected, surviving_images, surviving_pages
from pipeline.io.store import Store
from schemas.tables import CAPTIONS, IMAGES, PAGES, REJECTIONS, image_id, rejection

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOGO, PHOTO, ICON = "http://x/Logo.png", "http://x/photo.jpg", "http://x/icon"
LONG, SHORT, CODE = "one two three four five", "next", "please enable JavaScript to read this"
SETTINGS = [
    "filters.paragraph.min_words=2",
    "filters.paragraph.max_javascript_mentions=0",
    "filters.text.min_words=5",
    "filters.image.url_tokens=[logo, icon]",
]


def page(name: str, offset: int, *blocks: dict[str, Any]) -> dict[str, Any]:
    return row(PAGES, page_id=name, warc_offset=offset, blocks=list(blocks))


@pytest.fixture
def filtered(tmp_path: Path, spark: "SparkSession") -> Context:
    pages = [
        page("whole", 0, text(LONG), picture(PHOTO)),
        page("mixed", 1, text(SHORT), picture(LOGO), text(LONG), text(CODE), picture(PHOTO), text(LONG)),
        page("emptied", 2, text(SHORT), text(CODE)),
        page("mixed", 3, text(LONG)),  # another capture with the same id: judged by itself
    ]
    captions = [row(CAPTIONS, image_id=image_id(ICON), image_url=ICON, caption="an icon", page_id="whole")]
    store = Store(str(tmp_path))
    commit(store, "pages", "extract", {PAGES: pages, CAPTIONS: captions})
    recipe = load("everything", SETTINGS)
    run((filter.STEP,), recipe, str(tmp_path))
    return Context(spark, store, recipe, ())


def test_every_reason_has_a_rejection(filtered: Context) -> None:
    found = rows(Path(filtered.store.root), "rejections/filter")
    told = {(r["level"], r["page_id"], r["warc_offset"], r["block"], r["rule"], r["measure"], r["threshold"])
            for r in found if r["level"] != "image"}  # fmt: skip
    assert told == {
        ("paragraph", "mixed", 1, 0, "PARAGRAPH_TOO_SHORT", 1, 2),
        ("paragraph", "mixed", 1, 3, "PARAGRAPH_JAVASCRIPT", 1, 0),
        ("paragraph", "emptied", 2, 0, "PARAGRAPH_TOO_SHORT", 1, 2),
        ("paragraph", "emptied", 2, 1, "PARAGRAPH_JAVASCRIPT", 1, 0),
        ("page", "emptied", 2, None, "TOO_SHORT", 0, 5),
    }
    images = [(r["image_id"], r["url"], r["rule"], r["measure"]) for r in found if r["level"] == "image"]
    assert sorted(images) == sorted([(image_id(url), url, "URL_TOKEN", 1) for url in (LOGO, ICON)])
    measured = [m for m in rows(Path(filtered.store.root), "measures") if "measures" in m]
    measures = {(m["page_id"], m["warc_offset"]): dict(m["measures"]) for m in measured}
    assert measures["mixed", 1] == {"num_words": 10}
    assert measures["emptied", 2] == {"num_words": 0}


def test_later_steps_read_the_page_without_them(filtered: Context) -> None:
    pages = {(p["page_id"], p["warc_offset"]): p for p in surviving_pages(filtered, "filter").collect()}
    assert pages.keys() == {("whole", 0), ("mixed", 1), ("mixed", 3)}
    mixed = pages["mixed", 1]
    assert [b["text"] or b["image_url"] for b in mixed["blocks"]] == [LOGO, LONG, PHOTO, LONG]
    assert mixed["positions"] == [1, 2, 4, 5]
    assert [b["text"] or b["image_url"] for b in pages["whole", 0]["blocks"]] == [LONG, PHOTO]


def test_steps_add_up(filtered: Context) -> None:
    """Later steps also name blocks by their position on the extracted page."""
    of_mixed = {"page_id": "mixed", "warc_file": "w", "warc_offset": 1}
    again = [rejection("dedup", "DUPLICATE_TEXT", "paragraph", block=2, **of_mixed)]
    commit(filtered.store, "rejections/dedup", "dedup", {REJECTIONS: again})
    pages = {(p["page_id"], p["warc_offset"]): p for p in surviving_pages(filtered, "filter", "dedup").collect()}
    assert pages["mixed", 1]["positions"] == [1, 4, 5]
    assert len(pages["mixed", 3]["blocks"]) == 1


def test_rejected_images_are_not_requested(filtered: Context) -> None:
    assert {r["image_url"] for r in fetch._used_images(filtered).collect()} == {PHOTO}
    commit(filtered.store, "rejections/dedup", "dedup")
    came = [row(IMAGES, image_id=image_id(url), image_url=url, status="ok") for url in (LOGO, PHOTO)]
    commit(filtered.store, "images", "fetch", {IMAGES: came})
    assert [r["image_url"] for r in surviving_images(filtered).collect()] == [PHOTO]
    assert drop_rejected(filtered, surviving_images(filtered), "filter").count() == 1
