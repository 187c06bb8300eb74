"""Near-duplicate texts: shingles by hand, estimated and exact similarity, and what is dropped."""

import random
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.near_duplicates import SIGNED, near_duplicate_texts, signer, with_signatures
from pipeline.dedup.hashing import BLOCK_CHARACTERS, bands, shingles, signatures, similarity, sketches
from schemas.recipe import MinHash

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

FUNCTIONS = 112


def hashes(text: str, ngram: int = 1) -> list[int]:
    return [int(h) for h in shingles([text], ngram)[0]]


def words(count: int, seed: int) -> list[str]:
    coin = random.Random(seed)
    return ["".join(coin.choices("abcdefghij", k=6)) for _ in range(count)]


def jaccard(a: str, b: str, ngram: int = 5) -> float:
    one, other = set(hashes(a, ngram)), set(hashes(b, ngram))
    return len(one & other) / len(one | other)


def signed(texts: list[str], ngram: int = 5) -> np.ndarray:
    return signatures(*shingles(texts, ngram), FUNCTIONS)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Straße, CAFÉ — naïve!", "straße cafe naive"),
        ("cafe\u0301 a\u00adb", "cafe ab"),  # an accent of its own; a hyphen that nobody sees
        ("1,234 items for $5.60", "7 8 items for 99 0"),
        ("one\u00a0two\n\nthree", "one two three"),
        ("hello 👋🏽 world 🫠", "hello world"),
        ("我們。在這裡", "我 們 在 這 裡"),
        ("ใน iPhoneです", "ใ น iphone で す"),
        ("𠀀𠀁", "𠀀 𠀁"),
        ("ΣΊΣΥΦΟΣ Йод", "σισυφοσ иод"),
    ],
)
def test_words_are_case_folded(text: str, same: str) -> None:
    assert hashes(text) == hashes(same)
    assert len(hashes(same)) == len(same.split())


@pytest.mark.parametrize(("text", "other"), [("ab c", "a bc"), ("한국", "한글"), ("𠀀", "𠀁"), ("one two", "two one")])
def test_different_words_are_distinguished(text: str, other: str) -> None:
    assert hashes(text, 2) != hashes(other, 2)


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), (" …!? ", 0), ("🙂🙂 🇨🇦", 0), ("one", 1), ("a b c d e", 1), ("a b c d e f", 2)]
)
def test_a_text_of_few_words_is_one_shingle(text: str, count: int) -> None:
    assert shingles([text, "x", text], 5)[1].tolist() == [count, 1, count]


TEXT = st.text(st.sampled_from("ab é1,.\n我ก🙂\U00020000"), max_size=30)


@given(st.lists(TEXT, max_size=8), st.integers(1, 6))
def test_shingles_do_not_depend_on_other_texts(texts: list[str], ngram: int) -> None:
    together, counts = shingles(texts, ngram)
    alone = [shingles([text], ngram)[0] for text in texts]
    assert [len(found) for found in alone] == counts.tolist()
    assert together.tolist() == [h for found in alone for h in found]


def test_shingles_do_not_depend_on_blocks() -> None:
    long = " ".join(words(BLOCK_CHARACTERS // 4, 1))
    one, counts = shingles(["first of all", long, "one two", long], 5)
    assert counts[1] == counts[3] == BLOCK_CHARACTERS // 4 - 4
    assert one[1 : 1 + counts[1]].tolist() == one[-counts[3] :].tolist()
    assert (signatures(one, counts, 16)[1] == signatures(one[1 : 1 + counts[1]], counts[1:2], 16)[0]).all()


def test_signatures_are_pinned() -> None:
    """A change of these numbers makes two runs disagree about what is the same text."""
    found = signed(["The quick brown fox jumps over the lazy dog. 12 Ünï 我們"])
    assert shingles(["fox"], 5)[0].tolist() == [10_246_791_434_911_625_531]
    assert found[0, :2].tolist() == [732_519_912_459_524_849, 1_836_491_806_973_624_027]
    assert bands(found, 14)[0, :2].tolist() == [-5_402_749_376_551_992_490, 4_589_500_747_951_807_657]


@pytest.mark.parametrize("shared", [0, 300, 700, 900, 1000])
def test_estimates_are_near_the_truth(shared: int) -> None:
    """Of 112 functions each agrees with the probability of the exact similarity: five standard errors hold."""
    for seed in range(10):
        common = words(shared, seed)
        one, other = (" ".join(common + words(1000 - shared, 100 * seed + side)) for side in (11, 12))
        exact = jaccard(one, other)
        both = sketches(signed([one, other]))
        bound = 5 * np.sqrt((exact + 1 / 256) * (1 - exact) / FUNCTIONS)
        assert abs(similarity(both[:1], both[1:])[0] - exact) <= bound


def test_functions_are_independent() -> None:
    """Over many pairs the mean of the estimates is the truth, and they spread as 112 independent coins do."""
    pairs = [words(300, seed) for seed in range(300)]
    one = [" ".join(pair[:200]) for pair in pairs]
    other = [" ".join(pair[:100] + pair[200:]) for pair in pairs]
    exact = jaccard(one[0], other[0])
    estimates = similarity(sketches(signed(one)), sketches(signed(other)))
    error = np.sqrt(exact * (1 - exact) / FUNCTIONS)
    assert abs(estimates.mean() - exact) < 4 * error / np.sqrt(len(pairs))
    assert 0.8 < estimates.std() / error < 1.2


def edited(text: str, rate: float, seed: int) -> str:
    coin = random.Random(seed)
    return " ".join(f"new{word}" if coin.random() < rate else word for word in text.split())


ORIGINALS = [" ".join(words(200, seed)) for seed in range(30)]
PAGES = [
    *((f"o{n}", "2024", text) for n, text in enumerate(ORIGINALS)),
    *((f"e{n}", "2025", edited(text, 0.01, n)) for n, text in enumerate(ORIGINALS[:10])),
    *((f"u{n}", "2023", text.upper() + "!") for n, text in enumerate(ORIGINALS[10:15], 10)),
    *((f"s{n:03}", "2024", ORIGINALS[29]) for n in range(300)),  # a template, each page of which is the same
    *((f"t{n:03}", "2024", f"{ORIGINALS[28]} {word}") for n, word in enumerate(words(300, 99))),  # and nearly the same
    ("none", "2024", ""),
    ("signs", "2024", "🙂🙂"),
    ("signs too", "2025", "🙂🙂"),
    ("word", "2024", "Hello"),
    ("word too", "2025", "hello!"),
    ("chinese", "2024", "我們今天在這裡討論網頁的文字。"),
    ("chinese too", "2023", "我們今天在這裡,討論網頁的文字"),
    ("null", None, " ".join(words(50, 7))),
]  # fmt: skip


def gone(spark: "SparkSession", partitions: int, **config: float) -> dict[str, "Row"]:
    frame = spark.createDataFrame(
        random.Random(partitions).sample(PAGES, len(PAGES)), "page_id string, captured_at string, text string"
    )
    settings = MinHash.model_validate(config)
    rows = near_duplicate_texts(with_signatures(frame.repartition(partitions), settings), settings).collect()
    assert len(rows) == len({row.page_id for row in rows})
    return {row.page_id: row for row in rows}


def test_the_same_pages_are_dropped_for_any_partitioning(spark: "SparkSession") -> None:
    found = gone(spark, 1)
    assert {page: row.detail for page, row in found.items()} == {
        **{f"o{n}": f"e{n}" for n in range(10)},  # the newest stays
        **{f"u{n}": f"o{n}" for n in range(10, 15)},
        **{f"s{n:03}": "o29" for n in range(300)},  # of the same age and length the smallest id
        **{f"t{n:03}": "t000" for n in range(1, 300)},  # of the same age the longest
        "o28": "t000",
        "word": "word too",
        "chinese too": "chinese",
    }
    assert found["u10"].measure == 1.0
    texts = {page: text for page, _, text in PAGES}
    for page, row in found.items():
        assert abs(row.measure - jaccard(texts[page], texts[row.detail])) < 0.2
        assert (row.rule, row.threshold) == ("NEAR_DUPLICATE_TEXT", 0.0)
    assert gone(spark, 7) == found


def test_batches_without_words() -> None:
    empty = pa.RecordBatch.from_pydict({"page_id": ["a"], "text": ["…"]})
    for batch in (empty, empty.slice(0, 0)):
        (found,) = signer(MinHash())(iter([batch]))
        assert found.num_rows == 0 and found.schema.names == ["page_id", *(field.name for field in SIGNED)]


def test_a_page_too_different_from_the_kept_one_is_kept(spark: "SparkSession") -> None:
    found = gone(spark, 2, min_similarity=0.97)
    assert found and all(row.measure >= row.threshold == 0.97 for row in found.values())
    assert "u10" in found and "o0" not in found
