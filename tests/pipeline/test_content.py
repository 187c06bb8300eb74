"""Main content: blocks as displayed, forests, the choice of blocks, and their text."""

import itertools
import re

import lxml.html
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.html.blocks import cut, join
from pipeline.html.images import mark_images
from pipeline.html.main_content import Forest, choose_text, features, forests, weights, with_surroundings
from pipeline.html.page import extract_page

PAGE = "http://host.example/page.html"


def tree(body: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(f"<html><body>{body}</body></html>")


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ("<p>One</p><p>Two</p>", ["One", "Two"]),
        ("bare <p>One</p> tail", ["bare", "One", "tail"]),
        ("<p>a <b>bold</b>, <i>slanted</i> and\n  <span>plain</span> line</p>", ["a bold, slanted and plain line"]),
        ("<p>first<br>second<br/>\n third</p>", ["first\nsecond\nthird"]),
        ("<div>before<div>inside</div>after</div>", ["before", "inside", "after"]),
        ("<p>one<hr>two</p>", ["one", "two"]),
        ("<a href=x>Home</a><a href=y>News</a>", ["Home News"]),
        ("<p>see <a href=x>this</a>, please</p>", ["see this, please"]),
        ("<pre>a = 1\n  b = 2</pre>", ["a = 1\n  b = 2"]),
        (
            "<p>run by <nobr>Trust No. 2</nobr>, <o:p>called</o:p> <st1:place>the <x>Trust</x></st1:place>.</p>",
            ["run by Trust No. 2, called the Trust."],
        ),
        ("<p>Press <button>OK</button> or see <my-term>quay</my-term>.</p>", ["Press OK or see quay."]),
        ("<div>News<button>Follow</button></div>", ["News", "Follow"]),
        ("<div><button>Follow</button>News</div>", ["Follow", "News"]),
        ("<div>News<button><p>Follow</p></button>today</div>", ["News", "Follow", "today"]),
        ("<my-card><p>One</p></my-card><my-card>Two</my-card><button>Three</button>", ["One", "Two", "Three"]),
        ("<ul><li><a href=x>Home</a></li></ul><p>a foot<a href=y>[1]</a> note</p>", ["Home", "a foot[1] note"]),
        ("<p><span class=date>May 3, 2021</span><span class=by>By Ann</span></p>", ["May 3, 2021 By Ann"]),
        ("<p><time>May 3</time><small>Ann</small></p>", ["May 3 Ann"]),
        (
            "<p><span>H</span><span>ello</span> <b>bold</b><i>ital</i> H<sub>2</sub>O x<wbr>y</p>",
            ["Hello boldital H2O xy"],
        ),
        ("<pre><span>get</span><span>Value</span></pre>", ["getValue"]),
        (
            "<p>under&shy;water&#8203;&#x2060;\ufeff \u00adre\u00ad\u00adset</p><p>&shy;</p><p>\u200b</p>",
            ["underwater reset"],
        ),
        ("<p>It&#146;s \u0093so\u0094&#133;</p>", ["It’s “so”…"]),
        ("<noembed>no</noembed><noframes>no</noframes>", []),
        ("<p>a<!-- not this -->b<?and not this?>c</p>", ["abc"]),
        ("<p>a<script>not()</script>b<style>p{}</style></p><svg><text>no</text></svg>", ["ab"]),
        ("<noscript><p>for readers without scripts</p></noscript>", ["for readers without scripts"]),
        ("<select><option>no</option></select><textarea>no</textarea><button>yes</button>", ["yes"]),
        ("<p> </p><div></div>", []),
    ],
)
def test_blocks_are_as_displayed(body: str, texts: list[str]) -> None:
    assert [b.shown for b in cut(tree(body))[0]] == texts


def test_a_block_has_its_position() -> None:
    blocks, _ = cut(tree("<nav><ul><li><a href=x>Home</a></li></ul></nav><article class=post><p>A <b>big</b> one</p>"))
    menu, text = blocks
    assert (menu.place.tag, menu.link_characters, menu.num_links) == ("li", 4, 1)
    assert (text.place.tag, text.link_characters, text.emphasis_characters) == ("p", 0, 3)
    around_menu, around_text = ([place.number for place in block.place.outwards()] for block in blocks)
    assert set(around_menu) & set(around_text) == {0}
    assert (menu.place.depth, text.place.depth) == (3, 2)


def test_images_are_before_the_block_that_follows_them() -> None:
    html = tree("<p>One</p><img src=a.jpg><p><img src=b.jpg>Two</p><p>Three <a href=x><img src=c.jpg></a> more</p>")
    images = mark_images(html, PAGE)
    spots = cut(html)[1]
    assert [(images[s.image].url[-5:], s.before, s.in_link) for s in spots] == [
        ("a.jpg", 1, False), ("b.jpg", 1, False), ("c.jpg", 3, True),
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["<p>", "</p>", "<div>", "<b>", "a ", "b", "<img src=x.jpg>", "<br>", "<td>", "</a>",
                                 "<a>", "<ul><li>", "<noscript>"]), max_size=30))  # fmt: skip
def test_no_letter_is_lost_or_doubled(parts: list[str]) -> None:
    html = tree("".join(parts))
    blocks, _ = cut(html)
    assert "".join(b.text for b in blocks).translate(str.maketrans("", "", " \n")) == "".join(
        p.strip() for p in parts if p in ("a ", "b")
    )
    if blocks:
        x = features(blocks)
        assert x.shape == (len(blocks), x.shape[1]) and np.isfinite(x).all()


@given(st.integers(0, 2**32 - 1))
def test_a_forest_sums_its_trees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # two trees: a stump, and one with a leaf on the left and a node on the right
    forest = Forest(
        roots_T=np.array([0, 3], np.int32),
        feature_K=np.array([1, 0, 0, 0, 0, 2, 0, 0], np.int32),
        threshold_K=np.array([0.3, 0, 0, -0.2, 0, 0.5, 0, 0], np.float32),
        children_K2=np.array([[2, 1], [1, 1], [2, 2], [5, 4], [4, 4], [7, 6], [6, 6], [7, 7]], np.int32),
        value_K=np.array([0, 1, -1, 0, 0.5, 0, 2, -3], np.float32),
        depth=2,
    )
    x = rng.normal(size=(5, 3)).astype(np.float32)
    odds = [
        (1 if a[1] <= np.float32(0.3) else -1) + (0.5 if a[0] <= np.float32(-0.2) else 2 if a[2] <= 0.5 else -3)
        for a in x
    ]
    assert forest(x) == pytest.approx(1 / (1 + np.exp(-np.array(odds))), rel=1e-6)
    again = Forest.from_arrays(forest.arrays("f"), "f")
    assert (again(x) == forest(x)).all()


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(1, 50)), min_size=1, max_size=8))
def test_no_other_set_of_blocks_scores_higher(blocks: list[tuple[float, int]]) -> None:
    p, words = (np.array(column, np.float32) for column in zip(*blocks, strict=True))

    def promise(chosen: np.ndarray) -> float:
        return float(2 * (p * words)[chosen].sum() / (words[chosen].sum() + (p * words).sum()))

    best = max(promise(np.array(c)) for c in itertools.product([False, True], repeat=len(p)))
    assert promise(choose_text(p, words)) == pytest.approx(best, rel=1e-5)


def test_nothing_is_chosen_from_nothing() -> None:
    assert len(choose_text(np.zeros(0, np.float32), np.zeros(0, np.float32))) == 0
    page = extract_page(b"<html><body></body></html>", None, PAGE)
    assert (page.blocks, page.images) == ([], [])


def test_the_shipped_weights_fit_the_features() -> None:
    blocks, _ = cut(tree("<p>Some words.</p><p>More of them.</p>"))
    x, (first, second) = features(blocks), forests()
    both = with_surroundings(x, first(x), np.ones(2, np.float32))
    assert first.feature_K.max() < x.shape[1] <= second.feature_K.max() < both.shape[1]
    assert weights()["picture_weights"].shape == weights()["picture_mean"].shape


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ("<ul><li>one</li><li>two</li></ul><ol><li>three</li></ol>", ["one\ntwo", "three"]),
        ("<table><tr><td>Height</td><td>21 cm</td></tr><tr><th>Width</th><td>30 cm</td></tr></table>",
         ["Height 21 cm\nWidth 30 cm"]),
        ("<dl><dt>term</dt><dd>meaning</dd></dl><p>text</p>", ["term\nmeaning", "text"]),
        ("<table><tr><td><p>One paragraph</p><p>Two</p></td></tr></table>", ["One paragraph", "Two"]),
        ("<table><tr><th>Day<th>Hours<tr><td>Monday<td><ul><li>10 am</li><li>to 4 pm</li></ul></table>",
         ["Day Hours\nMonday 10 am to 4 pm"]),
        ("<table><tr><td><p>Monday</p></td><td><div>10 am</div></td></tr>"
         "<tr><td>Tuesday<td><dl><dt>from<dd>noon</dl></table>",
         ["Monday 10 am\nTuesday from noon"]),
        ("<table><tr><td><ul><li>Home</li><li>News</li></ul></td><td><h2>Title</h2><p>Text</p></td></tr></table>",
         ["Home\nNews", "Title", "Text"]),
        (f"<table><tr><td><p>Left</p></td><td><p>{'word ' * 70}</p></td></tr></table>",
         ["Left", ("word " * 70).strip()]),
        ("<table><tr><td>A<td><table><tr><td><p>b</p><td><p>c</p></table></table>", ["A", "b c"]),
        ("<pre>def f(x):\n    if x:\n\treturn 1  \n\n    return 2\n</pre>",
         ["def f(x):\n    if x:\n\treturn 1\n\n    return 2"]),
        ("<pre><b>a</b>\n  <i>b</i></pre><div style='white-space: pre-wrap'>c\n  d</div>", ["a\n  b", "c\n  d"]),
        ("<ul><li>one</li><li><img src=a.jpg></li><li>two</li></ul>", ["one", 0, "two"]),
    ],
)  # fmt: skip
def test_lists_and_tables_are_lines(body: str, texts: list[str | int]) -> None:
    html = tree(body)
    mark_images(html, PAGE)
    blocks, spots = cut(html)
    assert join(blocks, [True] * len(blocks), spots) == texts


def test_a_caption_belongs_to_its_image_not_the_text() -> None:
    words = "This paragraph, number {}, is long enough to be taken for main text by anyone who reads it."
    html = f"<article><p>{words.format(1)}</p><figure><img src=a.jpg><figcaption>The oak in May</figcaption></figure>"
    page = extract_page(f"{html}<p>{words.format(2)}</p></article>".encode(), "utf-8", PAGE)
    assert [b["text"] or b["caption"] for b in page.blocks] == [words.format(1), "The oak in May", words.format(2)]


@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_text_does_not_depend_on_images(shown: list[bool]) -> None:
    words = "This paragraph, number {}, is long enough to be taken for main text by anyone who reads it."
    html = "<article><h1>A title</h1>" + "".join(
        f"<p>{words.format(n)}</p><figure><img src={n}.jpg alt='picture {n}'></figure>" for n in range(6)
    )
    whole = extract_page(html.encode(), "utf-8", PAGE)
    assert len(whole.images) == 6
    fewer = html
    for number, is_shown in enumerate(shown):
        if not is_shown:
            fewer = re.sub(rf"<img src={number}\.jpg[^>]*>", "", fewer)
    assert extract_page(fewer.encode(), "utf-8", PAGE).text == whole.text
    assert words.format(5) in whole.text


@pytest.mark.parametrize(
    ("button", "is_content"),
    [
        ("<button class=zoom><img src=quay.jpg alt='Boats at the quay' width=800 height=533></button>", True),
        ("<figure><button><img src=quay.jpg></button><figcaption>Boats at the quay</figcaption></figure>", True),
        ("<button><img src=a.png alt=Close width=16 height=16></button>", False),
        ("<button><img src=a.png alt=Search></button>", False),
        ("<button><img src=a.png></button>", False),
        ("<button><img src=share-arrow.png alt='Share this page'></button>", False),
    ],
)
def test_a_button_may_hold_an_image(button: str, is_content: bool) -> None:
    words = "<p>The harbour was rebuilt after the storm, when the old quay was carried away in a single night.</p>"
    html = (
        f"<html><body><main><article><h1>The harbour</h1>{words * 3}{button}{words * 3}</article></main></body></html>"
    )
    page = extract_page(html.encode(), "utf-8", "http://host.example/")
    assert [b["kind"] for b in page.blocks].count("image") == is_content
