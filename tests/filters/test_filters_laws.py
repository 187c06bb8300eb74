"""Laws that hold for every filter: judge row by row, whatever stands beside it, and say so in the right form."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import CAPTION_FILTERS, DOCUMENT_FILTERS, PAGE_FILTERS
from filters.verdict import Filter, Verdict
from jobs.recipes import load
from schemas.errors import SchemaError
from schemas.reasons import CODES

FILTERS = (*PAGE_FILTERS, *DOCUMENT_FILTERS, *CAPTION_FILTERS)
RECIPE = load("kosmos1")
SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("caption", pa.string()),
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float32()),
        pa.field("page_id", pa.string()),
        pa.field("kinds", pa.list_(pa.string())),
    ]
)
TEXTS = st.text() | st.text(alphabet="# \u00a0\u200d😀é中a.:/w", max_size=40)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": TEXTS,
            "caption": TEXTS,
            "language": st.sampled_from(["en", "de", ""]),
            "language_score": st.floats(0, 1, width=32),
            "page_id": st.text(max_size=8),
            "kinds": st.lists(st.sampled_from(["text", "image"]), max_size=8),
        }
    ),
    max_size=6,
)


def rows(filter: Filter, table: list[dict]) -> list[tuple[float, str | None]]:
    verdict = filter(pa.RecordBatch.from_pylist(table, schema=SCHEMA), RECIPE)
    return list(zip(verdict.measure.to_pylist(), verdict.reason.to_pylist(), strict=True))


@pytest.mark.parametrize("filter", FILTERS, ids=lambda f: f.name)
@given(a=ROWS, b=ROWS)
def test_rows_are_judged_one_by_one(filter: Filter, a: list[dict], b: list[dict]) -> None:
    assert rows(filter, a + b) == rows(filter, a) + rows(filter, b)
    assert rows(filter, a[::-1]) == rows(filter, a)[::-1]


@pytest.mark.parametrize("filter", FILTERS, ids=lambda f: f.name)
def test_declared(filter: Filter) -> None:
    assert rows(filter, []) == []
    assert set(filter.reasons) <= CODES
    assert filter.source and filter.measure
    with pytest.raises(SchemaError, match="lacks"):
        filter(pa.RecordBatch.from_pydict({"other": [1]}), RECIPE)


def test_names_are_unique() -> None:
    assert len({f.name for f in FILTERS}) == len(FILTERS)
    assert len({f.measure for f in PAGE_FILTERS}) == len(PAGE_FILTERS)


@pytest.mark.parametrize(
    "reason",
    [["TOO_SHORT"], ["TOO_SHORT", "EMOJI"], [True, False]],
    ids=["a row too few", "an undeclared reason", "a bool"],
)
def test_a_malformed_verdict_is_refused(reason: list) -> None:
    verdict = Verdict(pa.array([1.0, 2.0]), pa.array(reason), None)
    broken = Filter("broken", ("text",), "m", ("TOO_SHORT",), "-", lambda batch, recipe: verdict)
    with pytest.raises(SchemaError, match="broken"):
        broken(pa.RecordBatch.from_pydict({"text": ["a", "b"]}), RECIPE)
