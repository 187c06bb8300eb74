"""Markup that browsers display in a special way: shadow roots, formulas, ruby, documents in frames."""

import pytest

from pipeline.html.blocks import cut
from pipeline.html.page import extract_page
from pipeline.html.tree import MAX_DEPTH, MAX_NESTED_ROOTS, parse

LONG = "{} This paragraph is long enough to be taken for main text by any reader, and it says something of its own."


def texts(body: str) -> list[str]:
    return [block.shown for block in cut(parse(f"<html><body>{body}</body></html>".encode(), "utf-8"))[0]]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<x-a><template shadowrootmode=open><p>One</p><p>Two</p></template></x-a>", ["One", "Two"]),
        ("<div><TEMPLATE ShadowRootMode=CLOSED><p>One</p></TEMPLATE></div>", ["One"]),
        ("<x-a><template shadowrootmode=open><h2>Head</h2><slot></slot><p>Foot</p></template><p>Light</p></x-a>",
         ["Head", "Light", "Foot"]),
        ("<x-a><template shadowrootmode=open><slot name=b>no</slot><slot name=a></slot><slot name=c>yes</slot>"
         "</template><p slot=a>A</p><p slot=b>B</p><p>not shown</p></x-a>", ["B", "A", "yes"]),
        ("<x-a><template shadowrootmode=open><x-b><template shadowrootmode=open><p>in</p></template></x-b><p>out</p>"
         "</template></x-a>", ["in", "out"]),
        ("<x-a><template shadowrootmode=open><slot></slot></template>bare words</x-a>", ["bare words"]),
        ("<div><template><p>inert</p></template><template shadowrootmode=no>inert</template>shown</div>", ["shown"]),
        ("<table><tr><td><template shadowrootmode=open>no host</template>x</td></tr></table>", ["x"]),
    ],
)  # fmt: skip
def test_shadow_roots_are_inside_their_hosts(body: str, shown: list[str]) -> None:
    assert texts(body) == shown


ROOT = "<x-a><template shadowrootmode=open>{}</template>{}</x-a>"


def nested(opened: str, closed: str, num: int) -> str:
    return "".join(opened.format(n) for n in range(num)) + closed * num + "<p>end</p>"


@pytest.mark.parametrize("num", [1, 64, 65, 254, 255, 256, 257, 1_000])
@pytest.mark.parametrize(
    ("opened", "closed"),
    [
        ("<x-a><template shadowrootmode=open><p>{}</p>", "</template></x-a>"),
        ("<x-a><template shadowrootmode=open><p>{}</p>", ""),
        ("<x-a><template shadowrootmode=open><p>{}</p><slot></slot></template>", "</x-a>"),
        ("<section><template shadowrootmode=open><p>{}</p><x-b><slot></slot></x-b></template>", "</section>"),
    ],
)
def test_no_text_is_lost_however_deep_shadow_roots_nest(opened: str, closed: str, num: int) -> None:
    assert texts(nested(opened, closed, num)) == [*map(str, range(num)), "end"]


def test_a_root_below_the_limit_is_read_with_its_host() -> None:
    around = MAX_NESTED_ROOTS - 1
    inner = ROOT.format("<p>shadow</p>", "<p>light</p>")

    def shown(num: int) -> list[str]:
        return texts("<x-a><template shadowrootmode=open>" * num + inner + "</template></x-a>" * num)

    assert shown(around) == ["shadow"]  # a browser shows no light child without a slot
    assert shown(around + 1) == ["shadow", "light"]


@pytest.mark.parametrize("num", [509, 510, 511, 512, 700])
@pytest.mark.parametrize("light", ["", "<p>light</p>"])
def test_a_root_at_the_depth_limit_does_not_affect_its_surroundings(num: int, light: str) -> None:
    html = f"<div>first<p>before</p>{'<div>' * num}{ROOT.format('<p>shadow</p>', light)}{'</div>' * num}<p>after</p>"
    shown = texts(html)
    assert [text for text in shown if text != "light"] == ["first", "before", "shadow", "after"]


def test_a_host_has_one_root_the_first() -> None:
    roots = "<template shadowrootmode=open><p>{}</p></template>"
    assert texts(f"<x-a>{roots.format(1)}{roots.format(2)}<p>light</p></x-a>") == ["1"]


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("<math><mi>h</mi><mo>=</mo><mi>a</mi><mi>sin</mi><mo>(</mo><mi>t</mi><mo>)</mo></math>", "h = a sin(t)"),
        ("<math><msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><mfrac><mrow><mi>a</mi><mo>-</mo><mn>1</mn></mrow><mi>b</mi>"
         "</mfrac></math>", "x^2 + (a - 1)/b"),
        ("<math><msqrt><msub><mi>a</mi><mi>i</mi></msub></msqrt></math>", "√(a_i)"),
        ("<math alttext='{\\displaystyle x^2}'><mi>x</mi></math>", "x^2"),
        ("<math><semantics><mi>x</mi><annotation encoding='application/x-tex'>x^2</annotation></semantics>"
         "</math>", "x^2"),
        ("<span class=katex><span class=katex-mathml><math><semantics><mi>x</mi><annotation encoding=application/x-tex>"
         "x^2</annotation></semantics></math></span><span class=katex-html aria-hidden=true>x2</span></span>", "x^2"),
        ("<script type='math/tex'>x^2</script>", "x^2"),
        ("<script type='math/tex; mode=display'>% <![CDATA[\na < b %]]></script>", "a < b"),
        ("<span class=MathJax_Preview>x2</span><span class=MathJax><span>x2</span><span class=MJX_Assistive_MathML>"
         "<math><mi>x</mi></math></span></span><script type=math/tex>x^2</script>", "x^2"),
        ("<mjx-container><mjx-math>x2</mjx-math><mjx-assistive-mml><math><msup><mi>x</mi><mn>2</mn></msup></math>"
         "</mjx-assistive-mml></mjx-container>", "x^2"),
    ],
)  # fmt: skip
def test_a_formula_is_in_its_sentence_in_one_form(formula: str, text: str) -> None:
    assert texts(f"<p>It grows with {formula} every hour.</p>") == [f"It grows with {text} every hour."]


@pytest.mark.parametrize("num", [100, 1_000, 5_000])
def test_a_formula_may_nest_however_deep(num: int) -> None:
    formula = f"<math>{'<mrow>' * num}<mi>x</mi><mo>=</mo><mn>1</mn>{'</mrow>' * num}</math>"
    assert texts(f"<p>Where {formula} holds.</p><p>end</p>") == ["Where x = 1 holds.", "end"]
    tower = f"<math>{'<msqrt>' * num}<mi>x</mi>{'</msqrt>' * num}</math>"
    (shown, end) = texts(f"<p>Where {tower} holds.</p><p>end</p>")
    assert shown.count("√(") == shown.count(")") >= min(num, MAX_DEPTH - 10)
    assert end == "end"


def test_a_formula_in_a_formula_is_a_part_of_it() -> None:
    inner = "<math><mi>b</mi></math>"
    assert texts(f"<p>It is <math><mi>a</mi><mo>=</mo>{inner}<mo>+</mo>{inner}</math> here.</p>") == [
        "It is a = b + b here."
    ]


def test_only_repetitions_of_a_formula_are_removed() -> None:
    both = "<span class=katex-mathml><math><mi>{0}</mi></math></span><span class=katex-html>{0}</span>"
    assert texts(f"<p>{both.format('x')} and {both.format('y')} hold.</p>") == ["x and y hold."]


def test_a_document_in_a_frame_is_read_whole_however_deep() -> None:
    document = "<div>" * 600 + "<p>deep</p>" + "</div>" * 600 + "<p>after</p>"
    assert texts(f"<p>a</p><iframe srcdoc='{document}'></iframe><p>b</p>") == ["a", "deep", "after", "b"]


def test_the_other_engine_reads_deep_pages_too() -> None:
    html = f"<main><article>{'<div>' * 700}<p>{LONG.format(1)}</p>{'<b>' * 700}<p>{LONG.format(2)}"
    page = extract_page(html.encode(), "utf-8", "http://host.example/", "trafilatura")
    assert LONG.format(1) in page.text and LONG.format(2) in page.text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<p><ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby></p>", ["漢(かん)字(じ)"]),
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby></p>", ["漢(かん)"]),
        ("<p><ruby><ruby>漢<rt>かん</rt></ruby><rt>Han</rt></ruby></p>", ["漢(かん)(Han)"]),
        ("<p>a</p><iframe srcdoc='<p>Inner</p>'><p>fallback</p></iframe><p>b</p>", ["a", "Inner", "b"]),
        ("<p>a</p><iframe src=x>fallback</iframe><object data=x><p>fallback</p></object><p>b</p>", ["a", "b"]),
    ],
)
def test_annotations_are_read_once(body: str, shown: list[str]) -> None:
    assert texts(body) == shown


def test_the_title_is_the_first_that_is_no_drawings() -> None:
    def title(html: str) -> str:
        return extract_page(html.encode(), "utf-8", "http://host.example/").title

    assert title("<title>First</title><title>Second</title><p>x") == "First"
    assert title("<body><svg><title>Menu icon</title></svg><p>x") == ""


def test_images_in_a_shadow_root_are_found() -> None:
    root = f"<p>{LONG.format(1)}</p><img src=q.jpg width=800 height=533 alt='the quay'><p>{LONG.format(2)}</p>"
    html = f"<main><article><x-a><template shadowrootmode=open>{root}</template></x-a></article></main>"
    page = extract_page(html.encode(), "utf-8", "http://host.example/")
    assert [b["text"] or b["image_url"] for b in page.blocks] == [
        LONG.format(1),
        "http://host.example/q.jpg",
        LONG.format(2),
    ]
