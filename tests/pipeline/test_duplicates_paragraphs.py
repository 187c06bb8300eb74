"""Paragraphs that occur on many pages, and pages with the same images: what is dropped, for any partitioning."""

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from blocks import PLACED, frame, page, told

from jobs.dedup import keyed, keyed_paragraphs, normalised, repeated_paragraphs, too_short_pages
from jobs.near_duplicates import SAME_IMAGES, SAME_TEXT, keep_first
from schemas.recipe import Paragraphs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FOOTER, QUOTE, OWN = "All rights reserved, 2021.", "To be, or not to be?", "Nobody else says this of number {}."
WORLD = [  # (host, time, blocks): the footer on three pages of a and one of b, the quote on two hosts
    page("1", OWN.format("one"), "http://x/i", FOOTER, host="a", captured_at="2021"),
    page(
        "2", OWN.format("two"), "ALL rights reserved – 1999", "all rights reserved 2000", host="a", captured_at="2023"
    ),
    page("3", QUOTE, "All  rights\nreserved 2021", host="a", captured_at="2022"),
    page("4", FOOTER, "To be or not to be", host="b", captured_at="2020"),
    page("5", "All rights reserved, 201.", "...", host="b", captured_at="2020", positions=[3, 7]),
    page("6", "...", host="b", captured_at="2020"),
]
COLUMNS = ("page_id", "block", "rule", "measure", "threshold", "detail")


def gone(partitions: int, spark: "SparkSession", **settings: object) -> list[tuple[object, ...]]:
    config = Paragraphs.model_validate(settings)
    found = repeated_paragraphs(keyed_paragraphs(frame(WORLD, partitions, spark), config.min_words), config)
    assert found is not None
    return told(found, *COLUMNS)


@pytest.mark.parametrize("partitions", [1, 7])
def test_text_on_many_pages_of_a_host_is_dropped_from_all(partitions: int, spark: "SparkSession") -> None:
    why = ("REPEATED_ON_HOST", 3, 2, None)
    assert gone(partitions, spark, max_host_pages=2) == [("1", 2, *why), ("2", 1, *why), ("2", 2, *why), ("3", 1, *why)]
    assert gone(partitions, spark, max_host_pages=3) == []


@pytest.mark.parametrize("partitions", [1, 7])
def test_across_hosts_the_newest_page_keeps_it(partitions: int, spark: "SparkSession") -> None:
    assert gone(partitions, spark, max_pages=1, keep="newest") == [
        ("1", 2, "REPEATED_PARAGRAPH", 4, 1, "2"),
        ("3", 1, "REPEATED_PARAGRAPH", 4, 1, "2"),
        ("4", 0, "REPEATED_PARAGRAPH", 4, 1, "2"),
        ("4", 1, "REPEATED_PARAGRAPH", 2, 1, "3"),
    ]


def test_both_thresholds_have_reasons_and_short_paragraphs_are_kept(spark: "SparkSession") -> None:
    found = gone(3, spark, max_host_pages=2, max_pages=1, min_words=5)
    assert [entry[:3] for entry in found] == [("3", 0, "REPEATED_PARAGRAPH"), ("4", 1, "REPEATED_PARAGRAPH")]
    assert repeated_paragraphs(keyed_paragraphs(frame(WORLD, 1, spark), 1), Paragraphs()) is None


def test_of_equally_new_pages_the_largest_id_keeps_it(spark: "SparkSession") -> None:
    pages = [page(name, "Said by all.", captured_at="2020") for name in "bca"]
    blocks = keyed_paragraphs(frame(pages, 2, spark), 1)
    found = repeated_paragraphs(blocks, Paragraphs(max_pages=1, keep="newest"))
    assert found is not None
    assert told(found, "page_id", "detail") == [("a", "c"), ("b", "c")]


def test_what_counts_as_the_same() -> None:
    same = ["Call 12-34 NOW!", "call  99\t00 now", " «Call» 5678 now… "]
    assert normalised(pa.array([*same, "call 0 now", "\u00a0", "ÄÖ 1", "© 2020"])).to_pylist() == [
        "call 0000 now", "call 00 00 now", "call 0000 now", "call 0 now", "", "äö 0", "0000"
    ]  # fmt: skip


def test_keys_are_the_first_bits_of_sha1() -> None:
    batch = pa.RecordBatch.from_pylist(
        [page("p", "http://x/i", "Hello, World", "", positions=[4, 6, 7])],
        PLACED,
    )
    (found,) = keyed(1)(iter([batch]))
    expected = int.from_bytes(hashlib.sha1(b"hello world").digest()[:8], "big", signed=True)
    assert [(r["block"], r["key"]) for r in found.to_pylist()] == [(6, expected)]
    (nothing,) = keyed(1)(iter([batch.slice(0, 0)]))
    assert len(nothing) == 0


@pytest.mark.parametrize("partitions", [1, 7])
def test_a_page_is_dropped_when_too_little_text_is_left(partitions: int, spark: "SparkSession") -> None:
    pages = [
        page("1", "one two three", "four five", positions=[2, 5]),
        page("2", "one two three", "four"),
        page("3", "one", "http://x/i"),
        page("4", "one two", "http://x/i"),
    ]
    lost = [("1", 5), ("1", 5), ("2", 0), ("4", 0)]
    rows = [(name, "w", 1, block) for name, block in lost]
    blocks = spark.createDataFrame(rows, "page_id string, warc_file string, warc_offset bigint, block int")
    all_pages = frame(pages, partitions, spark)
    columns = ("page_id", "rule", "measure", "threshold")
    # Page 3 has too few words, but lost none here.
    assert told(too_short_pages(all_pages, blocks, 2), *columns) == [
        ("2", "TOO_SHORT_AFTER_DEDUP", 1, 2),
        ("4", "TOO_SHORT_AFTER_DEDUP", 0, 2),
    ]
    assert [name for name, *_ in told(too_short_pages(all_pages, blocks, 4), *columns)] == ["1", "2", "4"]
    assert told(too_short_pages(all_pages, blocks, 0), *columns) == []


@pytest.mark.parametrize("partitions", [1, 7])
def test_the_newest_of_pages_with_the_same_images_is_kept(partitions: int, spark: "SparkSession") -> None:
    pages = [
        page("1", "http://x/a", "old", "http://x/b", captured_at="2020"),
        page("2", "http://x/b", "http://x/a", "new", "http://x/a", captured_at="2021"),
        page("3", "http://x/a", captured_at="2022"),
        page("4", "no images", captured_at="2020"),
        page("5", "no images", captured_at="2021"),
        page("6", "http://x/a", captured_at="2022"),
    ]
    keyed_pages = frame(pages, partitions, spark).selectExpr("*", f"{SAME_IMAGES} as image_set")
    stays, gone = keep_first(keyed_pages, "image_set", ("captured_at desc", "page_id"), "page_id")
    assert told(stays, "page_id") == [("2",), ("3",), ("4",), ("5",)]
    assert told(gone, "page_id", "survivor") == [("1", "2"), ("6", "3")]


def test_texts_are_equal_regardless_of_separators(spark: "SparkSession") -> None:
    pages = [
        page("1", "a", "http://x/a", "b"),
        page("2", "a", "b"),
        page("3", "ab"),
        page("4", "http://x/a"),
        page("5"),
    ]
    keys = [key for (key,) in frame(pages, 2, spark).orderBy("page_id").selectExpr(SAME_TEXT).collect()]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3:] == ["4", "5"]
