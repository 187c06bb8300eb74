"""Texts of evaluation sets: found regardless of case and punctuation, and nothing else is."""

import gzip
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blocks import frame, page, told
from handmade import row
from hypothesis import given
from hypothesis import strategies as st

from jobs.decontaminate import contaminated_captions, contaminated_texts
from jobs.step import spark_schema
from pipeline.dedup.ngrams import ItemText, Ngrams, ngrams, read_items
from schemas.errors import PathError
from schemas.recipe import Decontaminate
from schemas.tables import CAPTIONS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WORDS = "Natalia sold clips to 48 of her friends in April and then she sold half as many clips in May"
SHORT = "Two dogs run along a beach at dusk"  # 8 words
TINY = "A red bus stops beside seven trees"  # 7 words


def index(*texts: str) -> Ngrams:
    return ngrams([ItemText("set.jsonl", number, text) for number, text in enumerate(texts, 1)], 13, 8, 10)


SET = index(WORDS, SHORT, TINY, f"{WORDS} How many?")
FIRST = " ".join(WORDS.split()[:13])


@pytest.mark.parametrize(
    ("text", "count", "item"),
    [
        (WORDS, 8, 1),
        (f"They say: “{FIRST.upper()}!” And so on.", 1, 1),
        (f"so {FIRST.replace(' ', ', - ')} on", 1, 1),
        ("Nátalia\n" + FIRST.removeprefix("Natalia"), 1, 1),
        (" ".join(WORDS.split()[:12]) + " but", 0, None),
        (" ".join(WORDS.split()[:12]), 0, None),
        (FIRST.replace("to", "for"), 0, None),
        (FIRST.replace("48", "49"), 0, None),  # the same by the first hash
        (FIRST.replace("48", "480"), 0, None),
        (f"A photo. {SHORT}, and a third looks on.", 1, 2),
        (SHORT.removesuffix(" dusk"), 0, None),
        (TINY, 0, None),
        ("she sold half as many clips in May How many", 0, None),  # nine words of an item of more than 13
        (f"{SHORT}. {WORDS} How many?", 11, 1),
        ("", 0, None),
    ],
)
def test_shared_runs(text: str, count: int, item: int | None) -> None:
    counts, items = SET.find(["nothing of it", text, "nor here"])
    assert counts.tolist() == [0, count, 0]
    assert items[1] == (-1 if item is None else item - 1)
    assert item is None or SET.name(items[1]) == f"set.jsonl:{item}"


def test_items_that_are_too_short_are_counted() -> None:
    assert (len(SET.places), SET.num_short) == (4, 1)
    two_strings = [ItemText("a", 1, TINY), ItemText("a", 1, SHORT), ItemText("a", 2, TINY), ItemText("b", 1, "")]
    assert ngrams(two_strings, 13, 8, 10).num_short == 2
    assert ngrams([], 13, 8, 10).find([WORDS])[0].tolist() == [0]
    assert SET.find([])[0].tolist() == []


def test_scripts_without_spaces_count_by_the_character() -> None:
    item = "春眠不觉晓处处闻啼鸟夜来风雨声"
    found = index(item).find([f"诗曰：{item[:5]}，{item[5:]}。", item[:12], item[1:14]])
    assert found[0].tolist() == [3, 0, 1]


def naive(items: list[str], text: str, num_words: int, min_words: int) -> tuple[int, int]:
    """Count the runs of words that a text and items share, word by word."""
    words = re.findall(r"\w+", text.lower())
    runs: dict[tuple[str, ...], int] = {}
    for number, item in enumerate(items):
        of_item = re.findall(r"\w+", item.lower())
        length = min(num_words, len(of_item))
        if len(of_item) >= min_words:
            for start in range(len(of_item) - length + 1):
                runs.setdefault(tuple(of_item[start : start + length]), number)
    hits = [
        runs[run]
        for length in range(min_words, num_words + 1)
        for start in range(len(words) - length + 1)
        if (run := tuple(words[start : start + length])) in runs
    ]
    return len(hits), min(hits, default=-1)


TEXTS = st.lists(st.sampled_from(["a", "B", "b", "7", "42", "x1", "ß", "É", ". ", ", "]), max_size=20).map(" ".join)


@given(st.lists(TEXTS, max_size=6), st.lists(TEXTS, max_size=6))
def test_the_same_as_word_by_word(items: list[str], texts: list[str]) -> None:
    read = [ItemText("", number, text) for number, text in enumerate(items)]
    counts, found = ngrams(read, 4, 2, 10).find(texts)
    assert list(zip(counts.tolist(), found.tolist(), strict=True)) == [naive(items, text, 4, 2) for text in texts]


def test_text_shared_by_many_items_is_ignored() -> None:
    rule = "Read the question and choose the answer that you think is right of these four"
    own = [f"{rule} {'abcdefghijkl'[n] * 5} stands for what the painter had in mind when he drew it" for n in range(11)]
    ten, eleven = index(*own[:9], f"{own[9]} {rule}"), index(*own)
    assert ten.find([rule])[0].tolist() == [3], "an item that says it twice is one item"
    assert eleven.find([rule])[0].tolist() == [0]
    counts, items = eleven.find([f"{own[4]}", "nothing"])
    assert counts.tolist()[1] == 0 and eleven.name(items[0]) == "set.jsonl:5"


@pytest.mark.parametrize("partitions", [1, 7])
def test_paragraphs_are_dropped_and_pages_with_too_many(partitions: int, spark: "SparkSession") -> None:
    other = "Thirteen other words that no evaluation item has ever said in this very order"
    pages = [
        page("one", other, f"Q: {WORDS.upper()}?", "http://x/i", SHORT, positions=[0, 2, 3, 9]),
        page("copy", SHORT, "42", WORDS, other, SHORT),
        page("clean", other, TINY),
    ]
    found = contaminated_texts(frame(pages, partitions, spark), SET, Decontaminate(max_blocks=2))
    assert told(found, "page_id", "level", "block", "rule", "measure", "threshold", "detail") == [
        ("copy", "page", None, "CONTAMINATED_PAGE", 3, 2, "set.jsonl:2"),
        ("one", "paragraph", 2, "CONTAMINATED_TEXT", 8, 0, "set.jsonl:1"),
        ("one", "paragraph", 9, "CONTAMINATED_TEXT", 1, 0, "set.jsonl:2"),
    ]


@pytest.mark.parametrize("partitions", [1, 7])
def test_captions_are_dropped(partitions: int, spark: "SparkSession") -> None:
    texts = {"a": SHORT.lower() + ".", "b": TINY, "c": f"Photo: {SHORT}"}
    rows = [
        row(CAPTIONS, image_id=i, image_url=f"http://x/{i}", caption=text, page_id="p") for i, text in texts.items()
    ]
    pairs = spark.createDataFrame([tuple(r.values()) for r in rows], spark_schema(CAPTIONS.schema))
    found = contaminated_captions(pairs.repartition(partitions), SET).orderBy("image_id").collect()
    why = ("CONTAMINATED_CAPTION", 1, 0, "set.jsonl:2")
    assert [tuple(r) for r in found] == [("a", "p", "http://x/a", *why), ("c", "p", "http://x/c", *why)]


def test_every_string_of_an_item_counts_or_those_below_a_key(tmp_path: Path) -> None:
    item = {"question": "Q", "choices": [{"text": "A"}, "B", 3], "meta": {"question": {"of": ["C"]}, "id": "D"}}
    lines = ["", json.dumps(item), '"bare"', " ", '["x", null]']
    (tmp_path / "plain.jsonl").write_text("\n".join(lines))
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(json.dumps({"question": "Z"}).encode()))
    paths = [str(tmp_path / "plain.jsonl"), f"file://{tmp_path}/packed.jsonl.gz"]
    found = [(item.path == paths[0], item.line, item.text) for item in read_items(paths, ())]
    texts = [*((2, text) for text in "QABCD"), (3, "bare"), (5, "x")]
    assert found == [*((True, *text) for text in texts), (False, 1, "Z")]
    assert [item.text for item in read_items(paths, ["question", "none"])] == ["Q", "C", "Z"]


@pytest.mark.parametrize(
    ("data", "keys", "words"),
    [
        (None, (), r"set\.jsonl: cannot be opened: No such file or directory$"),
        (b'{"a": "b"}\n{"a": \n', (), r"set\.jsonl:2: not JSON: "),
        (b'"\xff"\n', (), r"set\.jsonl:1: not JSON: "),
        (b"[" * 100_000, (), r"set\.jsonl:1: "),
        (b"\n", (), r"set\.jsonl: no item has a string$"),
        (
            b'{"a": "b"}',
            ("text", "q"),
            r"set\.jsonl: no item has a string below text, q \(decontaminate\.keys\)$",
        ),
    ],
)
def test_an_invalid_set_gives_one_line(data: bytes | None, keys: tuple[str, ...], words: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "set.jsonl").write_bytes(data)
    with pytest.raises(PathError, match=words) as raised:
        list(read_items([str(tmp_path / "set.jsonl")], keys))
    assert "\n" not in str(raised.value)


def test_a_broken_archive_of_items_is_an_error(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a": "b"}\n' * 1000)
    for name, data in (("cut.jsonl.gz", whole[:30]), ("no.jsonl.gz", b"plain")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PathError, match=f"{name}: cannot be read"):
            list(read_items([str(tmp_path / name)], ()))


def test_a_short_item_is_shorter_than_a_run() -> None:
    with pytest.raises(ValueError, match="min_item_words must be at most"):
        Decontaminate(ngram_words=5)
