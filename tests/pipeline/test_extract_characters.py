"""Invisible characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.html.captions import Caption, caption_of
from pipeline.html.page import extract_page
from pipeline.html.tree import clean

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("re\u00adcon\u00adstruction", "reconstruction"),
        ("zero\u200bwidth \u2060joined\ufeff \u2061\u2062", "zerowidth joined "),
        ("keeper\u0092s \u0093log\u0094 \u0096 end\u0085", "keeper’s “log” – end…"),
        ("\u0081\u008d\u008f\u0090\u009d", ""),
        ("bell\a, escape\x1b[31m, delete\x7f, unit\x1f", "bell, escape[31m, delete, unit"),
        ("tab\tline\nreturn\rpage\f", "tab\tline\nreturn\rpage\f"),
        ("می\u200cخواهم PDF\u200cها क्\u200dष", "می\u200cخواهم PDF\u200cها क्\u200dष"),
        (FAMILY, FAMILY),
        ("late\u200d, Auf\u200clage", "late, Auflage"),
        ("\u200eleft\u200f\u202aright\u202c", "\u200eleft\u200f\u202aright\u202c"),
    ],
)
def test_invisible_characters_are_removed_but_not_joiners(text: str, seen: str) -> None:
    assert clean(text) == seen


@given(st.text())
def test_cleaning_is_idempotent(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert not set(once) & {chr(n) for n in (*range(0x7F, 0xA0), 0xAD, 0x200B, 0x2060, 0xFEFF)}


@pytest.mark.parametrize("engine", ["blocks", "trafilatura"])
def test_every_text_of_a_page_is_clean(engine: str) -> None:
    words = "{} This para&shy;graph is long e\u00adnough to be taken for ma\u200bin text by any reader&#146;s eye, "
    words += "and it says it."
    paragraphs = [f"<p>{words.format(number)}</p>" for number in ("One.", "Two.", "Three.")]
    html = f"""<html><head><title>A re&shy;port\ufeff &#150; one</title></head><body><article>{paragraphs[0]}
    <figure><img src=a.jpg alt="The keeper&#146;s un&shy;der\u200bwater log">
    <figcaption>Found at the mu&shy;seum&#133;</figcaption></figure>
    {paragraphs[1]}{paragraphs[2]}</article></body></html>"""
    page = extract_page(html.encode(), "utf-8", "http://host.example/", engine)  # type: ignore[arg-type]
    seen = "Two. This paragraph is long enough to be taken for main text by any reader’s eye, and it says it."
    assert page.title == "A report – one"
    assert {b["text"] for b in page.blocks if b["kind"] == "text"} >= {seen}
    assert (page.images[0].alt, page.images[0].caption) == ("The keeper’s underwater log", "Found at the museum…")
    assert caption_of(page.images[0]) == Caption("The keeper’s underwater log")
