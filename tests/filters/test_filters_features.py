"""Features of a batch, compared with a simple implementation for single texts."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain import Text, again, duplicate_grams, is_punctuated, part, repeated_characters, repeated_words, top_gram

from filters.features import FEATURES, Resources

WORDS = st.lists(st.sampled_from(["a", "b", "the", "Word", "c", "…", "!"]), max_size=40).map(" ".join)
TEXTS = st.lists(WORDS | st.text() | st.text(alphabet="ab \n.", max_size=60), max_size=5)
NAMED = {view.name: view for view in FEATURES}


def view(name: str, texts: list[str]) -> pa.Array:
    """Compute a feature of texts, with the features that it reads."""
    batch = pa.record_batch({"text": pa.array(texts, pa.string())})
    for before in FEATURES[: FEATURES.index(NAMED[name])]:
        batch = batch.append_column(before.name, before.make(batch, Resources()))
    return NAMED[name].make(batch, Resources())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's 3.5 km, isn’t it?", ["It", "'s", "3.5", "km", ",", "isn", "’t", "it", "?"]),
        ("well-known (U.S.)", ["well", "-", "known", "(", "U.S", ".", ")"]),
        ("on 1/2/2013 at 10:30, +4.5 a/b", ["on", "1/2/2013", "at", "10:30", ",", "+4.5", "a", "/", "b"]),
        ("wait... what…", ["wait", "...", "what", "…"]),
        ("春は, na\u00efve\u3000na\u0301", ["春", "は", ",", "na\u00efve", "na\u0301"]),
        (" \t\n\u00a0", []),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert view("tokens", ["before", text, "after"]).to_pylist() == [["before"], expected, ["after"]]


@given(TEXTS)
def test_tokens_omit_only_white_space(texts: list[str]) -> None:
    for text, tokens in zip(texts, view("tokens", texts).to_pylist(), strict=True):
        assert "".join("".join(tokens).split()) == "".join(text.split())


@given(TEXTS)
def test_grams(texts: list[str]) -> None:
    found = view("gram_fractions", texts).to_pylist()
    for text, words, grams in zip(texts, view("tokens", texts).to_pylist(), found, strict=True):
        length = max(len(text), 1)
        for n in (2, 3, 4):
            assert grams[f"top_{n}"] == top_gram(words, n) / length
        for n in range(5, 11):
            assert grams[f"duplicate_{n}"] == duplicate_grams(words, n) / length
        assert grams["repeated_5"] == repeated_words(words)


@given(TEXTS)
def test_character_repetition(texts: list[str]) -> None:
    for text, found in zip(texts, view("character_repetition", texts).to_pylist(), strict=True):
        assert found == repeated_characters(text)


@given(TEXTS)
def test_characters(texts: list[str]) -> None:
    for text, found in zip(texts, view("character_fractions", texts).to_pylist(), strict=True):
        length = max(len(text), 1)
        assert found["digits"] == sum(c.isdecimal() for c in text) / length
        if text.isascii():
            assert found["special"] == sum(not c.isalpha() for c in text) / length
            assert found["upper"] == sum(c.isupper() for c in text) / length


@given(st.lists(st.text(alphabet="ab.\n ", max_size=40), max_size=5))
def test_lines(texts: list[str]) -> None:
    for text, found in zip(texts, view("line_counts", texts).to_pylist(), strict=True):
        read = Text(text)
        repeated, number = again(read.lines), max(len(read.lines), 1)
        assert found["lines"] == len(read.lines)
        assert found["duplicate_lines"] == len(repeated) / number
        assert found["duplicate_line_characters"] == sum(map(len, repeated)) / read.length
        assert found["punctuated"] == part(is_punctuated, read.lines)
        assert found["sentences"] == read.sentences()
        assert found["cut"] == sum(line.endswith("...") for line in read.lines) / number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", 3),
        ('He said "stop." She did.', 2),
        ("Version 3.5 of it.", 1),
        ("Wait... what?!", 2),
        ("no end", 0),
        ("終わり。", 1),
    ],
)
def test_sentences(text: str, expected: int) -> None:
    assert view("line_counts", [text]).to_pylist()[0]["sentences"] == expected


def test_paragraphs() -> None:
    found = view("line_counts", ["one two\nthree\n\none two\nthree\n \nother\n"]).to_pylist()[0]
    assert found["duplicate_paragraphs"] == pytest.approx(1 / 3)
    assert found["duplicate_paragraph_characters"] == pytest.approx(13 / 37)
