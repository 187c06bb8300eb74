"""Exact match and F1 as SQuAD defines them, and accuracy with its interval: by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from trainer.evaluate.metrics import accuracy, exact_match, normalise, token_f1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The  Cat's  hat!", "cats hat"),
        ("an apple a day", "apple day"),
        ("theatre", "theatre"),
        ("$1,000.50", "100050"),
        ("“quoted”", "“quoted”"),
        ("a-b", "ab"),
        ("the", ""),
    ],
)
def test_answers_are_normalised(answer: str, expected: str) -> None:
    assert normalise(answer) == expected


@pytest.mark.parametrize(
    ("answer", "right", "exact", "f1"),
    [
        ("The Denver Broncos", ["Denver Broncos"], 1, 1),
        ("Denver", ["Denver Broncos"], 0, 2 / 3),  # precision 1, recall 1/2
        ("red red blue", ["red blue blue"], 0, 2 / 3),  # one red and one blue of three each
        ("blue", ["red"], 0, 0),
        ("blue car", ["red", "a blue car."], 1, 1),
        ("blue car", ["blue", "one blue car here"], 0, 2 / 3),
        ("the", ["red"], 0, 0),
        ("", ["a"], 1, 1),
    ],
)
def test_exact_match_and_f1(answer: str, right: list[str], exact: float, f1: float) -> None:
    assert exact_match(answer, right) == exact
    assert token_f1(answer, right) == pytest.approx(f1)


@given(st.text(max_size=20), st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_f1_is_one_where_the_match_is_exact_and_never_less(answer: str, right: list[str]) -> None:
    assert exact_match(answer, right) <= token_f1(answer, right) <= 1
    assert exact_match(answer, [*right, answer]) == token_f1(answer, [*right, answer]) == 1


@pytest.mark.parametrize(
    ("num_right", "num_answers", "low", "high"),
    [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634), (1, 1, 0.2065, 1), (11, 50, 0.1275, 0.3524)],
)
def test_wilson_interval(num_right: int, num_answers: int, low: float, high: float) -> None:
    """With z^2 = 3.8415: of 0 in 10 the upper end is z^2 / (10 + z^2); 11 of 50 are Kosmos-1's in Raven's test."""
    judged = accuracy([True] * num_right + [False] * (num_answers - num_right))
    assert (judged.num_correct, judged.num_answers, judged.value) == (num_right, num_answers, num_right / num_answers)
    assert (judged.low, judged.high) == pytest.approx((low, high), abs=5e-5)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_interval_holds_the_share_and_mirrors(right: list[bool]) -> None:
    judged, mirrored = accuracy(right), accuracy(not one for one in right)
    assert 0 <= judged.low <= judged.value <= judged.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - judged.high, 1 - judged.low))


def test_more_answers_narrow_the_interval() -> None:
    few, many = accuracy([True, False] * 5), accuracy([True, False] * 500)
    assert many.high - many.low < (few.high - few.low) / 5


def test_no_answers_are_refused() -> None:
    with pytest.raises(SchemaError, match="no answer to score"):
        accuracy([])
