"""Directives: tests/cases/consent holds headers and meta elements with what each of them forbids to `weft`."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pipeline.warc.http import ALL_ROBOTS, MAX_SOURCE_CHARACTERS, in_headers, in_page, may_be_in_page
from schemas.recipe import DIRECTIVES


def cases(name: str) -> list[dict]:
    path = Path(__file__).parent.parent / "cases" / "consent" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("case", cases("headers"), ids=lambda c: c["name"])
def test_what_headers_forbid(case: dict) -> None:
    assert in_headers([(name, value) for name, value in case["headers"]], "weft") == case["found"]


@pytest.mark.parametrize("case", cases("elements"), ids=lambda c: c["name"])
def test_what_elements_forbid(case: dict) -> None:
    assert in_page(LexborHTMLParser(case["html"]), "Weft") == case["found"]


def test_without_a_name_only_general_directives_apply() -> None:
    assert list(in_headers([("X-Robots-Tag", "noai, weft: noml, *: noindex")], ALL_ROBOTS)) == ["noai", "noindex"]
    page = LexborHTMLParser('<meta name="weft" content="noai"><meta name="robots" content="noml">')
    assert list(in_page(page, ALL_ROBOTS)) == ["noml"]


def test_every_directive_of_the_recipe_is_known() -> None:
    said = [("X-Robots-Tag", ",".join(DIRECTIVES[:-1])), ("tdm-reservation", "1")]
    assert DIRECTIVES[-1] == "tdm-reservation" and tuple(in_headers(said, "weft")) == DIRECTIVES


def test_a_long_source_is_truncated() -> None:
    (source,) = in_headers([("X-Robots-Tag", "noai" + ", nofollow" * 1000)], "weft").values()
    assert len(source) == MAX_SOURCE_CHARACTERS and source.startswith("X-Robots-Tag: noai, nofollow")


_WORDS = st.sampled_from(["noai", "NOINDEX", "none", "weft:", "other:", ",", " ", "max-snippet:", "5", ":"])
_VALUES = st.lists(_WORDS).map("".join) | st.text(max_size=30)


@given(st.lists(st.tuples(st.sampled_from(["X-Robots-Tag", "TDM-reservation", "Date"]), _VALUES)))
def test_any_headers_are_parsed_with_their_source(headers: list[tuple[str, str]]) -> None:
    found = in_headers(headers, "weft")
    assert found.keys() <= set(DIRECTIVES)
    assert set(found.values()) <= {f"{name}: {value}" for name, value in headers}
    others = [("X-Robots-Tag", f"otherbot: {directive}") for directive in DIRECTIVES]
    assert in_headers([*others, *headers], "weft") == found


_TAGS = st.tuples(
    st.sampled_from(["<meta ", "<META\n", "<metas ", "<!--<meta "]),
    st.sampled_from(["name=robots ", "name='Weft' ", 'name=" TDM-reservation" ', "name=other "]),
    st.sampled_from(["content='noai'", "content=1", "content='NONE'", "content", ""]),
    st.sampled_from([">", "/>", "-->", "<p>", " id=ü>" + "x" * 2500]),
).map("".join)


@given(
    st.lists(_TAGS, min_size=1, max_size=4).map("".join),
    st.sampled_from(["utf-8", "utf-16", "utf-16-le", "latin-1", "shift_jis"]),
)
def test_the_quick_check_misses_nothing(html: str, charset: str) -> None:
    if in_page(LexborHTMLParser(html), "weft"):
        assert may_be_in_page(html.encode(charset, "replace"), "weft")


def test_the_quick_check_avoids_parsing_most_pages() -> None:
    quiet = ['<meta name="robots" content="index, follow">', "robots: noai", '<meta name="a" content="noai">']
    assert not any(may_be_in_page(html.encode(), "weft") for html in quiet)
