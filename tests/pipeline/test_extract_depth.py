"""Elements nest as deep as browsers allow, and no text is lost below that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.html.tree import MAX_DEPTH, flatten, parse

OPENED = [
    "<div>", "<font color=red>", "<span>", "<ul><li>", "<table><tr><td>", "<blockquote>", "<b>", "<x-a>", "<section>",
    "<p><font><span>", "<DIV title='a>b'>", "<dl><dd>", "<ol><li><p>", "<form>", "<i><a href=x>",
]  # fmt: skip


def depth(html: str) -> int:
    tree = parse(html.encode(), "utf-8")
    deepest, levels = 0, {tree: 1}
    for element in tree.iter():
        for child in element:
            levels[child] = levels[element] + 1
            deepest = max(deepest, levels[child])
    return deepest


@pytest.mark.parametrize("tag", OPENED)
@pytest.mark.parametrize("num", [200, 300, 700, 5_000])
def test_no_text_is_lost_however_deep(tag: str, num: int) -> None:
    html = f"<body><p>first</p>{tag * num}<p>deep</p><p>deeper</p></div></font></li></ul><p>after</p>"
    text = parse(html.encode(), "utf-8").text_content()
    assert [word for word in ("first", "deep", "deeper", "after") if word not in text] == []
    assert depth(html) <= 2 * MAX_DEPTH


def test_closed_elements_reduce_the_depth() -> None:
    html = "<main>" + "<div>" * 600 + "<p>deep</p>" + "</div>" * 600 + "<p id=after>after</p></main>"
    tree = parse(html.encode(), "utf-8")
    (after,) = tree.xpath("//*[@id='after']")
    assert after.getparent().tag == "main"
    assert [p.text for p in tree.iter("p")] == ["deep", "after"]


def test_elements_below_the_limit_keep_their_boundaries() -> None:
    html = "<div>" * 600 + "<p>One</p><ul><li>two</li><li>three</li></ul><script>'<div>'</script><p>four</p>"
    tree = parse(html.encode(), "utf-8")
    found = [(e.tag, e.text.strip()) for e in tree.iter("p", "li") if e.text]
    assert found == [("p", "One"), ("li", "two"), ("li", "three"), ("p", "four")]


@pytest.mark.parametrize(
    "html",
    [
        "<p>a<p>b" * 3_000,
        "<ul>" + "<li>a" * 3_000 + "</ul>",
        "<div><p>a</p></div>" * 3_000,
        "<img src=x><br><input>" * 3_000,
        "<table>" + "<tr><td>a<td>b" * 3_000 + "</table>",
    ],
)
def test_long_shallow_pages_are_unchanged(html: str) -> None:
    assert flatten(html) is html


PARTS = [*OPENED, "</div>", "</ul>", "</font>", "</td>", "x", "<!-- <div> -->", "<script><b></script>", "<br>", "<",
         "</", "<a '", "é", "<textarea><i>", "</textarea>"]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=60), st.integers(1, 80))
def test_flattening_changes_no_text(parts: list[str], times: int) -> None:
    html = "".join(parts) * times
    once = flatten(html)
    assert once.count("x") == html.count("x")
    assert once.count("é") == html.count("é")
