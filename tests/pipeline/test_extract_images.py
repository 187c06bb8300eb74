"""Which address an <img> means: tests/cases/images/addresses.jsonl holds input/expected pairs."""

import json
from pathlib import Path

import lxml.html
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from pipeline.html.images import Image, absolute, best, candidates, mark_images, marked
from pipeline.html.page import extract_page

PAGE = "http://host.example/dir/page.html"
CASES = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "cases" / "images" / "addresses.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_address(case: dict) -> None:
    head = case.get("head", "")
    tree = lxml.html.document_fromstring(f"<html><head>{head}</head><body><p>text</p>{case['html']}</body></html>")
    images = mark_images(tree, case.get("url", PAGE))
    assert [i.url for i in images] == case["images"]
    assert [marked(e.get("src")) for e in tree.iter("img")] == list(range(len(images)))


def said(html: str) -> list[Image]:
    return mark_images(lxml.html.document_fromstring(html), PAGE)


def test_the_fields_of_an_image() -> None:
    html = """<figure><img src=a.jpg alt="  An  old
      oak " width="320px" height=200><figcaption>The oak, <b>in May</b><script>x()</script></figcaption></figure>
      <img src=b.jpg title="A  title" width="100%"><img src=c.jpg alt=c title=t style="max-width:9px; WIDTH: 640px">"""
    first, second, third = said(html)
    assert first == Image("http://host.example/dir/a.jpg", "An old oak", "", "The oak, in May", 320, 200)
    assert second == Image("http://host.example/dir/b.jpg", "", "A title", "", None, None)
    assert third == Image("http://host.example/dir/c.jpg", "c", "t", "", 640, None)


@pytest.mark.parametrize(
    ("html", "captions"),
    [
        ("<div><img src=a><p class='wp-caption-text'>One</p></div>", ["One"]),
        ("<div><a href=x><picture><img src=a></picture></a><div class='photo-Caption'>One</div></div>", ["One"]),
        ("<div><img src=a><img src=b><p class=caption>Two</p></div>", ["", "Two"]),
        ("<div><p class=caption>Before</p><img src=a></div>", [""]),
        ("<div><img src=a><p>Words</p></div>", [""]),
        ("<p>Words <img src=a></p><p class=caption>Of what?</p>", [""]),
        ("<div><img src=a><div class=captioned><img src=b>Not mine</div></div>", ["", ""]),
        ("<figure><figure><img src=a><figcaption>Inner</figcaption></figure><img src=b></figure>", ["Inner", ""]),
        ("<figure><img src=a><img src=b><figcaption>Both</figcaption></figure>", ["Both", "Both"]),
    ],
)
def test_captions_of_images(html: str, captions: list[str]) -> None:
    assert [i.caption for i in said(html)] == captions


def test_duplicate_images_share_their_texts() -> None:
    html = "<img src='data:,' alt=''><noscript><img src=a.jpg alt='An oak' title='Oak' width=320></noscript>"
    (image,) = said(html)
    assert (image.alt, image.title, image.width) == ("An oak", "Oak", 320)


@given(st.text(max_size=40))
def test_resolving_is_idempotent(address: str) -> None:
    url = absolute(address, PAGE)
    assert url is None or (url.isascii() and absolute(url, PAGE) == url)


@given(st.text(alphabet="ab/:.\\?#@[]% \t\n&é{<'\"", max_size=60), st.sampled_from([PAGE, "", "x", "http://", "//h"]))
def test_resolving_never_fails(address: str, base: str) -> None:
    url = absolute(address, base)
    assert url is None or (url.startswith(("http://", "https://")) and absolute(url, base) == url)


@given(st.text(alphabet="a,. 1xwh(/\t", max_size=60) | st.text(max_size=60))
def test_srcset_never_fails(srcset: str) -> None:
    found = list(candidates(srcset))
    assert sorted(best(found)) == sorted(c.address for c in found)
    assert all(c.address and c.address[0] != "," != c.address[-1] and c.density >= 0 for c in found)
    assert all(c.width is None or c.width > 0 for c in found)


@given(st.lists(st.tuples(st.from_regex(r"[a-z]([a-z,/]{0,8}[a-z])?", fullmatch=True), st.integers(1, 4_000))))
def test_srcset_round_trips(images: list[tuple[str, int]]) -> None:
    written = ", ".join(f"{address} {width}w" for address, width in images)
    assert [(c.address, c.width) for c in candidates(written)] == images


_ATTRIBUTES = st.sampled_from(["src", "srcset", "data-src", "data-srcset", "data-image", "width", "style", "class",
                               "alt", "itemid", "href"])  # fmt: skip
_VALUES = st.sampled_from(["a.jpg", "/b.png 2x", "c.jpg 9w, d.jpg", "data:,", "1", "1px", "caption", "{", ""])
_TAGS = st.sampled_from(["img", "amp-img", "picture", "source", "noscript", "figure", "figcaption", "div", "a", "base",
                         "/noscript", "/picture", "/figure", "/div", "/amp-img"])  # fmt: skip


@given(st.lists(st.tuples(_TAGS, st.dictionaries(_ATTRIBUTES, _VALUES, max_size=3)), max_size=20))
def test_any_nesting_keeps_a_placeholder_for_each_image(tags: list[tuple[str, dict[str, str]]]) -> None:
    html = "".join(f"<{tag} " + " ".join(f'{k}="{v}"' for k, v in attributes.items()) + ">" for tag, attributes in tags)
    tree = lxml.html.document_fromstring(f"<p>text</p>{html}")
    images = mark_images(tree, PAGE)
    assert [marked(e.get("src")) for e in tree.iter("img")] == list(range(len(images)))
    assert not list(tree.iter("amp-img"))


@given(st.binary(max_size=400) | st.text(alphabet="<>/imgsrc= 'pdivnoscript\"&;é", max_size=200).map(str.encode))
def test_any_bytes_make_a_page_or_say_why_not(body: bytes) -> None:
    from pipeline.html.tree import NotParseable

    try:
        page = extract_page(body, None, PAGE)
    except NotParseable:
        return
    assert {b["kind"] for b in page.blocks} <= {"text", "image"}


@given(st.lists(st.tuples(st.sampled_from(["a.jpg", "/b.png", "//c.example/d"]), st.text(alphabet="ab c", max_size=5))))
def test_alt_texts_equal_those_of_another_parser(images: list[tuple[str, str]]) -> None:
    # numbered, so that no two neighbours are the same image
    html = "".join(f"<p>{i}<img src='{src}?{i}' alt='{alt}'></p>" for i, (src, alt) in enumerate(images))
    page = extract_page(f"<html><body>{html}</body></html>".encode(), "utf-8", PAGE)
    seen = [(absolute(e["src"], PAGE), " ".join(e["alt"].split())) for e in BeautifulSoup(html, "html.parser")("img")]
    assert [(i.url, i.alt) for i in page.images] == seen
