"""Boundary cases of every filter: tests/cases/filters/NAME.jsonl holds input/expected pairs.

Cases of text filters are written for pages, and apply to paragraphs too.
"""

import json
from typing import Any

import pyarrow as pa
import pytest
from all_filters import LISTS, decisions

from filters import CAPTION_FILTERS, DOCUMENT_FILTERS, IMAGE_FILTERS, PAGE_FILTERS, PARAGRAPH_FILTERS
from filters.text import MEASURES
from jobs.recipes import load
from schemas.reasons import of_paragraph

FILTERS = {f.name: f for f in (*PAGE_FILTERS, *DOCUMENT_FILTERS, *IMAGE_FILTERS, *CAPTION_FILTERS)}
OF_PARAGRAPHS = {f.name: f for f in PARAGRAPH_FILTERS}
TYPES = {"language_score": pa.float64(), "kinds": pa.list_(pa.string())}
CASES = [
    (path.stem, json.loads(line))
    for path in sorted(LISTS.parent.glob("*.jsonl"))
    for line in path.read_text("utf-8").splitlines()
]
IDS = [f"{n}: {c['name']}" for n, c in CASES]


def test_every_filter_has_cases() -> None:
    # the coin of SINGLE_IMAGE is a hash, which no hand computes; test_filters_coin.py has its laws
    assert {name for name, _ in CASES} == FILTERS.keys() - {"single_image"}


def test_every_reason_has_cases_on_both_sides_of_its_threshold() -> None:
    told = {name: {case["reason"] for other, case in CASES if other == name} for name, _ in CASES}
    assert told == {name: {None, *FILTERS[name].reasons} for name in told}


@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_case(name: str, case: dict[str, Any]) -> None:
    assignments = [text.replace("{lists}", str(LISTS)) for text in case.get("set", [])]
    schema = pa.schema([(key, TYPES.get(key, pa.string())) for key in case["row"]])
    verdict = decisions(FILTERS[name], [case["row"]], schema, load("kosmos1", assignments))
    assert verdict.measure.to_pylist() == pytest.approx([case["measure"]])
    assert verdict.reason.to_pylist() == [case["reason"]]
    if name in MEASURES:
        of_paragraphs = load("kosmos1", [text.replace("filters.text", "filters.paragraph") for text in assignments])
        again = decisions(OF_PARAGRAPHS[f"paragraph_{name}"], [case["row"]], schema, of_paragraphs)
        assert again.measure == verdict.measure
        assert again.reason.to_pylist() == [case["reason"] and of_paragraph(case["reason"])]
