"""Properties of every filter: rows are independent, and decisions have the right form."""

import pyarrow as pa
import pytest
from all_filters import AIDS, decisions, every_threshold
from hypothesis import given
from hypothesis import strategies as st

from filters import CAPTION_FILTERS, DOCUMENT_FILTERS, IMAGE_FILTERS, PAGE_FILTERS, PARAGRAPH_FILTERS
from filters.features import with_features
from filters.filter import Decision, Filter
from filters.text import MEASURES
from jobs.recipes import load
from schemas.errors import SchemaError
from schemas.reasons import CODES, REASONS, TEXT_FILTERS
from schemas.recipe import TextBounds

LEVELS = {
    "page": PAGE_FILTERS,
    "paragraph": PARAGRAPH_FILTERS,
    "document": DOCUMENT_FILTERS,
    "image": IMAGE_FILTERS,
    "caption": CAPTION_FILTERS,
}
FILTERS = tuple(f for filters in LEVELS.values() for f in filters)
RECIPE = every_threshold()
SCHEMA = pa.schema(
    [
        pa.field("text", pa.string()),
        pa.field("caption", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("language", pa.string()),
        pa.field("language_score", pa.float32()),
        pa.field("page_id", pa.string()),
        pa.field("kinds", pa.list_(pa.string())),
    ]
)
TEXTS = st.text() | st.text(alphabet="# \u00a0\u200d😀é中a.:/w\n…", max_size=40)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": TEXTS,
            "caption": TEXTS,
            "image_url": TEXTS,
            "language": st.sampled_from(["en", "de", ""]),
            "language_score": st.floats(0, 1, width=32),
            "page_id": st.text(max_size=8),
            "kinds": st.lists(st.sampled_from(["text", "image"]), max_size=8),
        }
    ),
    max_size=6,
)


def rows(table: list[dict]) -> list[tuple[tuple[float, str | None], ...]]:
    """Return the decision of every filter for each row."""
    batch = with_features(pa.RecordBatch.from_pylist(table, schema=SCHEMA), FILTERS, AIDS)
    verdicts = [filter(batch, RECIPE) for filter in FILTERS]
    columns = [zip(v.measure.to_pylist(), v.reason.to_pylist(), strict=True) for v in verdicts]
    return list(zip(*columns, strict=True))


@given(a=ROWS, b=ROWS)
def test_rows_are_independent(a: list[dict], b: list[dict]) -> None:
    assert rows(a + b) == rows(a) + rows(b)
    assert rows(a[::-1]) == rows(a)[::-1]


@pytest.mark.parametrize("filter", FILTERS, ids=lambda f: f.name)
def test_measures_and_reasons_are_declared(filter: Filter) -> None:
    assert filter.on(RECIPE)
    assert decisions(filter, [], SCHEMA, RECIPE).reason.to_pylist() == []
    assert set(filter.reasons) <= CODES
    assert filter.source and filter.measure
    with pytest.raises(SchemaError, match="lacks"):
        filter(pa.RecordBatch.from_pydict({"other": [1]}), RECIPE)


def test_names_are_unique() -> None:
    assert len({f.name for f in FILTERS}) == len(FILTERS)
    for filters in LEVELS.values():
        assert len({f.measure for f in filters}) == len(filters)


def test_reasons_belong_to_one_filter_and_its_level() -> None:
    level_of = {reason.code: reason.level for reason in REASONS}
    told = [(code, level) for level, filters in LEVELS.items() for f in filters for code in f.reasons]
    assert [(code, level_of[code]) for code, _ in told] == told
    assert len({code for code, _ in told}) == len(told)


def test_every_row_of_the_table_has_a_measure_a_key_and_two_reasons() -> None:
    assert list(dict.fromkeys(row.measure for row in TEXT_FILTERS)) == list(MEASURES)
    for section, filters in (("text", PAGE_FILTERS), ("paragraph", PARAGRAPH_FILTERS)):
        codes = [code for f in filters for code in f.reasons]
        for row in TEXT_FILTERS:
            reason = row.reason(section)
            assert reason.code in codes and f"filters.{section}.{row.key}" in reason.meaning
            assert reason in REASONS
    assert list(TextBounds.model_fields) == [row.key for row in TEXT_FILTERS]


def test_without_thresholds_no_text_filter_is_enabled() -> None:
    everything = load("everything")
    assert [f.name for f in (*PAGE_FILTERS, *PARAGRAPH_FILTERS, *IMAGE_FILTERS) if f.on(everything)] == []


@pytest.mark.parametrize(
    "reason",
    [["TOO_SHORT"], ["TOO_SHORT", "EMOJI"], [True, False]],
    ids=["a row too few", "an undeclared reason", "a bool"],
)
def test_a_malformed_decision_is_an_error(reason: list) -> None:
    verdict = Decision(pa.array([1.0, 2.0]), pa.array(reason), {})
    broken = Filter("broken", ("text",), "m", ("TOO_SHORT",), "-", lambda batch, recipe: verdict)
    with pytest.raises(SchemaError, match="broken"):
        broken(pa.RecordBatch.from_pydict({"text": ["a", "b"]}), RECIPE)
