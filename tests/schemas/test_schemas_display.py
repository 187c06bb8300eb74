"""Untrusted text reaches a terminal only as visible text."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.display import describe, message, percent, printable, shorten, to_json

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\x1b\x07\x7f\x9b\x85\r\n\t\u2028\udc80" + BIDI), st.characters(exclude_categories=("Cs",))
    )
)


def acts(text: str) -> list[str]:
    """Return the characters of a text that control a terminal, or cannot be encoded."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cs") or c in BIDI]


@given(HOSTILE)
def test_a_line_has_no_control_characters(text: str) -> None:
    assert acts(printable(text)) == [] and not set(printable(text)) & {"\u2028", "\u2029"}
    printable(text).encode()


@given(HOSTILE)
def test_lines_keep_only_line_breaks(text: str) -> None:
    assert set(acts(printable(text, lines=True))) <= {"\n", "\t"}


@given(st.recursive(HOSTILE, lambda inner: st.dictionaries(HOSTILE, inner, max_size=3), max_leaves=5))
def test_json_keeps_the_value(value: object) -> None:
    text = to_json(value)
    assert acts(text) == [] and json.loads(text) == value
    text.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("a\r\nb\tc", "a b c"),
        ("\x9b2J", "\\x9b2J"),
        ("safe\u202egpj.exe", "safe\\u202egpj.exe"),
        ("\udcff.warc", "\\udcff.warc"),
        ("می\u200cخواهم 👩\u200d👩", "می\u200cخواهم 👩\u200d👩"),
    ],
)
def test_spelling(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_message_is_one_line_without_credentials() -> None:
    assert message(OSError("no\x1b[2J\nhttp://u:p@h/ ")) == "no\\x1b[2J http://***@h/ "


def test_an_error_is_one_short_line() -> None:
    error = ValueError("first line\n  second\tline " + "x" * 1_000)
    assert shorten(error) == "first line second line " + "x" * 277
    assert shorten("a\r\n b", 2) == "a "
    assert describe(error) == ("ValueError: first line   second line " + "x" * 1_000)[:500]


@given(HOSTILE)
def test_the_description_of_an_error_fits_any_table(text: str) -> None:
    described = describe(RuntimeError(text), 60)
    assert acts(described) == [] and len(described) <= 60 and described.startswith("RuntimeError: ")
    described.encode()


@given(st.integers(1, 10**7), st.data())
def test_100_and_0_percent_are_exact(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    said = percent(part, whole)
    assert (said == "100 %") == (part == whole)
    assert (said == "0 %") == (part == 0)
    value = float(said.removeprefix("< ").removesuffix(" %"))
    assert abs(value - 100 * part / whole) <= 0.5 or said == "< 0.1 %"


def test_fractions_have_a_decimal_where_it_matters() -> None:
    cases = {0.9996: "99.9 %", 0.99999999: "99.9 %", 0.0004: "< 0.1 %", 0.001: "0.1 %", 0.0932: "9.3 %", 0.424: "42 %"}
    assert {part: percent(part, 1) for part in cases} == cases
    assert percent(0, 0) == ""
