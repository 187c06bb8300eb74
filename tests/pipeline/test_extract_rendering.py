"""What browsers show of markup that trees do not: shadow roots, formulas, ruby, documents in frames."""

import pytest

from pipeline.extract import extract_page
from pipeline.extract.content.blocks import cut
from pipeline.extract.tree import parse

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
def test_shadow_roots_stand_in_their_hosts(body: str, shown: list[str]) -> None:
    assert texts(body) == shown


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
def test_a_formula_stays_in_its_sentence_in_one_form(formula: str, text: str) -> None:
    assert texts(f"<p>It grows with {formula} every hour.</p>") == [f"It grows with {text} every hour."]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<p><ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby></p>", ["漢(かん)字(じ)"]),
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby></p>", ["漢(かん)"]),
        ("<p>a</p><iframe srcdoc='<p>Inner</p>'><p>fallback</p></iframe><p>b</p>", ["a", "Inner", "b"]),
        ("<p>a</p><iframe src=x>fallback</iframe><object data=x><p>fallback</p></object><p>b</p>", ["a", "b"]),
    ],
)
def test_what_stands_above_or_inside_is_read_once(body: str, shown: list[str]) -> None:
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
