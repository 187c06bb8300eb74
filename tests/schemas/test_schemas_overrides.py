"""Overrides of a model's values, and one line for each that is invalid."""

import pytest

from schemas.errors import RecipeError
from schemas.overrides import Section, merge, override, parse, validate


class Inner(Section):
    rate: float = 1.0
    word: str = ""


class Outer(Section):
    inner: Inner = Inner()
    needed: int


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("1e-3", 0.001),
        (" -2E5 ", -200000.0),
        ("'1e-3'", "1e-3"),
        ("1.2.3", "1.2.3"),
        ("", None),
        ("null", None),
        ("en", "en"),
        ("[en, de]", ["en", "de"]),
        ("a=b", "a=b"),
        ("/a b%20/#ü[1] #2", "/a b%20/#ü[1] #2"),
        ("'a b' # c", "a b"),
        ("[a#b, 'c #d']", ["a#b", "c #d"]),
    ],
)
def test_values_are_parsed_as_intended(text: str, value: object) -> None:
    before = {"inner": {"rate": 1}}
    assert override(before, [f"inner.word={text}"]) == {"inner": {"rate": 1, "word": value}}
    assert before == {"inner": {"rate": 1}}


def test_missing_sections_are_created() -> None:
    assert override({}, ["a.b.c=1", "a.b.d=2"]) == {"a": {"b": {"c": 1, "d": 2}}}
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}


@pytest.mark.parametrize("assignment", ["seed", "=1", "a..b=1", "needed.more=1", "inner.word=["])
def test_a_malformed_assignment_is_an_error(assignment: str) -> None:
    with pytest.raises(RecipeError, match="--set") as caught:
        override({"needed": 1}, [assignment])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "x: key needed is missing"),
        ({"needed": 1, "iner": {}}, "x: unknown key iner (did you mean inner?)"),
        ({"needed": 1, "inner": {"wrd": ""}}, "x: unknown key inner.wrd (did you mean word?)"),
        (
            {"needed": "one"},
            "x: needed: Input should be a valid integer, unable to parse string as an integer (got 'one')",
        ),
    ],
)
def test_an_invalid_value_is_named(values: dict, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        validate(Outer, values, "x")
    assert str(caught.value) == said


@pytest.mark.parametrize("text", ["- 1", "a: [", "7", ""])
def test_a_file_that_is_not_a_mapping_is_an_error(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^x") as caught:
        parse(text, "x")
    assert "\n" not in str(caught.value)
