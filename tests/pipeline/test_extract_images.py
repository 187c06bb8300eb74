"""Which address an <img> means: tests/cases/images/addresses.jsonl holds input/expected pairs."""

import json
from pathlib import Path

import lxml.html
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extract import extract_page
from pipeline.extract.images import absolute, largest, mark_images, marked

PAGE = "http://host.example/dir/page.html"
CASES = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "cases" / "images" / "addresses.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_address(case: dict) -> None:
    tree = lxml.html.document_fromstring(f"<html><body><p>text</p>{case['html']}</body></html>")
    images = mark_images(tree, PAGE)
    assert [i.url for i in images] == case["images"]
    assert [marked(e.get("src")) for e in tree.iter("img")] == list(range(len(images)))


def test_what_the_page_says_of_an_image() -> None:
    html = """<figure><img src=a.jpg alt="  An  old
      oak " width="320px" height=200><figcaption>The oak, <b>in May</b></figcaption></figure>
      <img src=b.jpg title="A title" width="100%">"""
    first, second = mark_images(lxml.html.document_fromstring(html), PAGE)
    assert (first.alt, first.caption, first.width, first.height) == ("An old oak", "The oak, in May", 320, 200)
    assert (second.alt, second.caption, second.width, second.height) == ("A title", "", None, None)


@given(st.text(max_size=40))
def test_resolving_is_stable(address: str) -> None:
    url = absolute(address, PAGE)
    assert url is None or (url.isascii() and absolute(url, PAGE) == url)


@given(st.text(alphabet="a,. 1xwh/\t", max_size=60))
def test_srcset_never_fails(srcset: str) -> None:
    assert all(c and not c.isspace() and not c.endswith(",") for c in largest(srcset))


@given(st.binary(max_size=400) | st.text(alphabet="<>/imgsrc= 'pdivnoscript\"&;é", max_size=200).map(str.encode))
def test_any_bytes_make_a_page_or_say_why_not(body: bytes) -> None:
    from pipeline.extract.page import NotParseable

    try:
        page = extract_page(body, None, PAGE, 10)
    except NotParseable:
        return
    assert {b["kind"] for b in page.blocks} <= {"text", "image"}


@given(st.lists(st.tuples(st.sampled_from(["a.jpg", "/b.png", "//c.example/d"]), st.text(alphabet="ab c", max_size=5))))
def test_alt_texts_are_those_that_another_parser_sees(images: list[tuple[str, str]]) -> None:
    # numbered, so that no two neighbours are the same image
    html = "".join(f"<p>{i}<img src='{src}?{i}' alt='{alt}'></p>" for i, (src, alt) in enumerate(images))
    page = extract_page(f"<html><body>{html}</body></html>".encode(), "utf-8", PAGE, 10)
    seen = [(absolute(e["src"], PAGE), " ".join(e["alt"].split())) for e in BeautifulSoup(html, "html.parser")("img")]
    assert [(i.url, i.alt) for i in page.images] == seen
