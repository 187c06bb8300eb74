"""Counts by value become bins, quantiles and shares that are exact, whatever stands at the edge of a bin."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from handmade import commit, row
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from jobs.report_counts import LINEAR_EDGES, LOG_EDGES, bins, distribution, four_digits, quantiles, shares, thousandths
from jobs.report_sources import select
from pipeline.io.store import Store
from schemas.tables import IMAGES


def test_a_bin_holds_its_lower_edge_and_not_its_upper() -> None:
    told = distribution("words", "text", {0: 3, 1: 1, 9: 2, 10: 5, 12: 1, 13: 4})
    assert [(b["from"], b["to"], b["count"]) for b in told["bins"]] == [
        (0, 1, 3), (1, 2, 1), (2, 3, 0), (3, 4, 0), (4, 5, 0), (5, 6, 0), (6, 8, 0), (8, 10, 2),
        (10, 13, 6), (13, 18, 4)
    ]  # fmt: skip
    told = distribution("clip_score", "text", {-1: 1, 0: 2, 19: 1, 20: 1, 1000: 1})
    assert [(b["from"], b["to"], b["count"]) for b in told["bins"] if b["count"]] == [
        (-0.02, 0.0, 1), (0.0, 0.02, 3), (0.02, 0.04, 1), (1.0, 1.02, 1)
    ]  # fmt: skip


def test_edges_fall_together_with_what_numbers_are_cut_to() -> None:
    """Else a number could be counted in another bin than its own."""
    assert four_digits(pa.array(LOG_EDGES)).to_pylist() == LOG_EDGES


@given(st.lists(st.integers(0, 2**38), min_size=1), st.lists(st.floats(-1, 1, width=32), min_size=1))
def test_nothing_is_lost_and_each_number_is_between_its_edges(numbers: list[int], scores: list[float]) -> None:
    cut = Counter(four_digits(pa.array(numbers, pa.int64())).to_pylist())
    rounded = Counter(thousandths(pa.array(scores)).to_pylist())
    for told in (bins(cut, LOG_EDGES, 1), bins(rounded, LINEAR_EDGES, 1000)):
        assert [b["to"] for b in told[:-1]] == [b["from"] for b in told[1:]]
        assert told[0]["count"] and told[-1]["count"]
    for b in bins(cut, LOG_EDGES, 1):
        assert b["count"] == sum(b["from"] <= n < b["to"] for n in numbers)


def test_scores_are_what_was_written() -> None:
    written = [0.3, 0.29, -0.57, 1.0, 0.12345, -0.00001, 0.0, None, float("nan")]
    cut = thousandths(pa.array(written, pa.float32())).to_pylist()
    assert cut == [300, 290, -570, 1000, 123, -1, 0]


@given(st.lists(st.integers(0, 500), min_size=1))
def test_quantiles_are_values_of_the_list(numbers: list[int]) -> None:
    wanted = (0.0, 0.05, 0.5, 0.95, 1.0)
    found = quantiles(Counter(numbers), wanted)
    assert [found[q] for q in wanted] == np.quantile(numbers, wanted, method="inverted_cdf").tolist()


def test_the_commonest_are_listed_and_the_others_counted(spark: SparkSession) -> None:
    hosts = [(f"h{n:02}", 30 - n) for n in range(25)] + [("tie-b", 30), ("tie-a", 30), ("", 1)]
    rows = [("pages", "hosts", *host) for host in hosts]
    frame = spark.createDataFrame(rows, "of string, name string, value string, count long")
    (told,) = shares(frame.repartition(3))
    assert [(v["value"], v["count"]) for v in told["values"]] == [
        ("h00", 30), ("tie-a", 30), ("tie-b", 30), *((f"h{n:02}", 30 - n) for n in range(1, 18))
    ]  # fmt: skip
    assert (told["total"], told["num_values"]) == (sum(n for _, n in hosts), 28)
    assert told["others"] == sum(30 - n for n in range(18, 25)) + 1


def test_rows_are_picked_from_the_row_groups_that_hold_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.io.tables.ROWS_PER_GROUP", 10)
    store = Store(str(tmp_path))
    images = [row(IMAGES, image_id=f"i{n:03}", image_url=f"u{n}", status="ok", bytes=b"x" * n) for n in range(95)]
    commit(store, "images", "fetch", {IMAGES: images}, num_parts=1)
    path = store.at(store.manifest("images").files["images"][0])
    batches = list(select(store, path, "image_id", {"i013", "i094", "none"}, ["bytes"]))
    assert len(batches) == 2, "of ten row groups"
    assert [(r["image_id"], len(r["bytes"])) for b in batches for r in b.to_pylist()] == [("i013", 13), ("i094", 94)]
