"""Repeated paragraphs and evaluation sets in dedup: rejections, and the input of later steps."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fetching import rows
from handmade import commit, picture, row, text
from PIL import Image

from jobs import dedup
from jobs.recipes import load
from jobs.run import run
from jobs.step import Context
from jobs.tables import surviving_captions, surviving_images, surviving_pages
from pipeline.io.store import Store
from schemas.tables import CAPTIONS, IMAGES, PAGES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ITEM = "A train leaves at 9 and another one follows it an hour later: when do they meet"
SHORT = "A dog sleeps beside an old stone wall"
OWN, MENU = "What only this page {} says, in enough words to stay.", "Home, contact, imprint"
TEXTS = {  # page: blocks; the letters are images
    "clean": [MENU, "a", OWN.format("one")],
    "holds": [MENU, OWN.format("two"), "b", f"Exercise 3. {ITEM.upper()}?"],
    "copy": [SHORT, ITEM, "no", MENU, OWN.format("three")],
    "emptied": [MENU, "c", "Little"],
    "older": ["b", "An older text beside the same image"],
    "mirror": ["b", OWN.format("four")],
}
WHEN = {"older": "2020", "mirror": "2019"}
CAPTIONED = [("a", "clean", SHORT), ("a", "clean", "A dog"), ("a", "holds", "A dog"), ("b", "copy", "A wall")]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    store = Store(str(tmp_path / "out"))
    (tmp_path / "sets/pictures").mkdir(parents=True)
    Image.new("RGB", (64, 64), "white").save(tmp_path / "sets/pictures/white.png")
    (tmp_path / "sets/texts.jsonl").write_text("".join(json.dumps({"q": q}) + "\n" for q in (ITEM, SHORT, "Too short")))
    white = hashlib.sha256((tmp_path / "sets/pictures/white.png").read_bytes()).hexdigest()
    images = [
        row(IMAGES, image_id=i, image_url=f"http://x/{i}", status="ok", phash=f"{n:016x}", sha256=sha256)
        for n, (i, sha256) in enumerate({"a": "1", "b": "2", "c": white}.items())
    ]
    pages = [
        row(PAGES, page_id=p, warc_file=p, captured_at=WHEN.get(p, "2021"),
            blocks=[picture(f"http://x/{b}") if len(b) == 1 else text(b) for b in blocks])
        for p, blocks in TEXTS.items()
    ]  # fmt: skip
    pairs = [row(CAPTIONS, image_id=i, image_url=f"http://x/{i}", page_id=p, caption=c) for i, p, c in CAPTIONED]
    commit(store, "pages", "extract", {PAGES: pages, CAPTIONS: pairs})
    commit(store, "measures", "filter")
    commit(store, "images", "fetch", {IMAGES: images})
    return tmp_path / "out"


@pytest.mark.parametrize("partitions", [1, 7])
def test_rejections_name_the_rule(partitions: int, output: Path, spark: "SparkSession") -> None:
    sets = output.parent / "sets"
    recipe = load("everything", [
        f"decontaminate.texts=[{sets}/texts.jsonl]", f"decontaminate.images=[{sets}/pictures]",
        "decontaminate.max_blocks=1", "dedup.image_set=true", "dedup.paragraphs.max_host_pages=2",
        "dedup.min_words_left=2",
    ])  # fmt: skip
    usual = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    try:
        run((dedup.STEP,), recipe, str(output))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(usual))
    ledger = [
        tuple(e[name] for name in ("rule", "level", "page_id", "image_id", "block", "measure", "threshold", "detail"))
        for e in rows(output, "rejections/dedup")
    ]
    menu = ("REPEATED_ON_HOST", "paragraph")
    expected: list[tuple[Any, ...]] = [
        ("CONTAMINATED_PAGE", "page", "copy", None, None, 2, 1, f"{sets}/texts.jsonl:2"),
        ("CONTAMINATED_TEXT", "paragraph", "holds", None, 3, 5, 0, f"{sets}/texts.jsonl:1"),
        ("CONTAMINATED_CAPTION", "caption", "clean", "a", None, 1, 0, f"{sets}/texts.jsonl:2"),
        ("CONTAMINATED_IMAGE", "image", None, "c", None, 0, 4, f"{sets}/pictures/white.png"),
        ("DUPLICATE_IMAGE_SET", "page", "older", None, None, None, None, "holds"),
        ("DUPLICATE_IMAGE_SET", "page", "mirror", None, None, None, None, "holds"),
        *((*menu, p, None, 0, 3, 2, None) for p in ("clean", "holds", "emptied")),
        ("TOO_SHORT_AFTER_DEDUP", "page", "emptied", None, None, 1, 2, None),
    ]
    assert sorted(ledger, key=str) == sorted(expected, key=str)
    manifest = Store(str(output)).manifest("rejections/dedup")
    assert manifest is not None
    assert manifest.notes == {"evaluation_items": "3, of which 1 are too short to search for"}
    context = Context(spark, Store(str(output)), recipe, ())
    left = {r["page_id"]: r["positions"] for r in surviving_pages(context, "filter", "dedup").collect()}
    assert left == {"clean": [1, 2], "holds": [1, 2]}
    captions = {(r["image_id"], r["page_id"]) for r in surviving_captions(context, "dedup").collect()}
    assert captions == {("a", "holds"), ("b", "copy")}
    assert {r["image_id"] for r in surviving_images(context).collect()} == {"a", "b"}
