"""Boundary cases of every filter: tests/cases/filters/NAME.jsonl holds input/expected pairs."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from filters import CAPTION_FILTERS, DOCUMENT_FILTERS, PAGE_FILTERS
from jobs.recipes import load

FILTERS = {f.name: f for f in (*PAGE_FILTERS, *DOCUMENT_FILTERS, *CAPTION_FILTERS)}
TYPES = {"language_score": pa.float64(), "kinds": pa.list_(pa.string())}
CASES = [
    (path.stem, json.loads(line))
    for path in sorted((Path(__file__).parent.parent / "cases" / "filters").glob("*.jsonl"))
    for line in path.read_text("utf-8").splitlines()
]


def test_every_filter_has_cases() -> None:
    # the coin of SINGLE_IMAGE is a hash, which no hand computes; test_filters_coin.py has its laws
    assert {name for name, _ in CASES} == FILTERS.keys() - {"single_image"}


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{n}: {c['name']}" for n, c in CASES])
def test_case(name: str, case: dict) -> None:
    columns = {key: pa.array([value], TYPES.get(key, pa.string())) for key, value in case["row"].items()}
    verdict = FILTERS[name](pa.RecordBatch.from_pydict(columns), load("kosmos1", case.get("set")))
    assert verdict.measure.to_pylist() == pytest.approx([case["measure"]])
    assert verdict.reason.to_pylist() == [case["reason"]]
