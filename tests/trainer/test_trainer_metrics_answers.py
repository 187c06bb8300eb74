"""Exact match and F1 as SQuAD defines them, and accuracy with its interval, by hand."""

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
    ("answer", "correct", "exact", "f1"),
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
def test_exact_match_and_f1(answer: str, correct: list[str], exact: float, f1: float) -> None:
    assert exact_match(answer, correct) == exact
    assert token_f1(answer, correct) == pytest.approx(f1)


@given(st.text(max_size=20), st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_f1_is_one_where_the_match_is_exact_and_never_less(answer: str, correct: list[str]) -> None:
    assert exact_match(answer, correct) <= token_f1(answer, correct) <= 1
    assert exact_match(answer, [*correct, answer]) == token_f1(answer, [*correct, answer]) == 1


@pytest.mark.parametrize(
    ("num_correct", "num_answers", "low", "high"),
    [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634), (1, 1, 0.2065, 1), (11, 50, 0.1275, 0.3524)],
)
def test_wilson_interval(num_correct: int, num_answers: int, low: float, high: float) -> None:
    """With z^2 = 3.8415, the upper end for 0 of 10 is z^2 / (10 + z^2); Kosmos-1 has 11 of 50 in Raven's test."""
    found = accuracy([True] * num_correct + [False] * (num_answers - num_correct))
    assert (found.num_correct, found.num_answers, found.value) == (num_correct, num_answers, num_correct / num_answers)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_interval_contains_the_fraction_and_is_symmetric(correct: list[bool]) -> None:
    found, mirrored = accuracy(correct), accuracy(not one for one in correct)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_more_answers_narrow_the_interval() -> None:
    few, many = accuracy([True, False] * 5), accuracy([True, False] * 500)
    assert many.high - many.low < (few.high - few.low) / 5


def test_no_answers_are_an_error() -> None:
    with pytest.raises(SchemaError, match="no answer to score"):
        accuracy([])
