"""Types of content: headers as the Fetch standard reads them, bytes as the MIME Sniffing standard does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media_types import MimeType, extract_mime_type, is_binary, sniff_html


@pytest.mark.parametrize(
    ("values", "essence", "charset"),
    [  # the first nine are the examples of the Fetch standard, "extract a MIME type"
        (["text/plain;charset=gbk, text/html"], "text/html", None),
        (["text/html;charset=gbk;a=b, text/html;x=y"], "text/html", "gbk"),
        (["text/html;charset=gbk;a=b", "text/html;x=y"], "text/html", "gbk"),
        (["text/html;charset=gbk", "x/x", "text/html;x=y"], "text/html", None),
        (["text/html", "cannot-parse"], "text/html", None),
        (["text/html", "*/*"], "text/html", None),
        (["text/html", ""], "text/html", None),
        (["text/html;charset=gbk", "text/html;charset=utf-8"], "text/html", "utf-8"),
        (["text/plain", "text/html;charset=utf-8"], "text/html", "utf-8"),
        (["TEXT/HTML;CHARSET=UTF-8"], "text/html", "utf-8"),
        (["\t text/html \t; charset=utf-8"], "text/html", "utf-8"),
        (["text/html;;;charset=utf-8"], "text/html", "utf-8"),
        (['text/html; charset="utf-8"'], "text/html", "utf-8"),
        (['text/html; charset="u\\tf-8"'], "text/html", "utf-8"),
        (['text/html; charset="utf-8'], "text/html", "utf-8"),
        (['text/html; x="a;charset=gbk, b"; charset=utf-8'], "text/html", "utf-8"),
        (["text/html; charset=gbk; charset=utf-8"], "text/html", "gbk"),
        (["text/html; charset=; charset=utf-8"], "text/html", "utf-8"),
        (["text/html; charset =utf-8"], "text/html", None),
        (["text/html; charset"], "text/html", None),
        (['text/html; x="y, text/plain'], "text/html", None),
        (["application/xhtml+xml"], "application/xhtml+xml", None),
    ],
)
def test_the_type_of_headers(values: list[str], essence: str, charset: str | None) -> None:
    assert extract_mime_type(values) == MimeType(essence, charset)


@pytest.mark.parametrize(
    "value",
    ["", " ", "html", "text/", "/html", "text html", "text/html charset=utf-8", "text/html:charset=utf-8", "*/*",
     "text", '"text/html; charset=utf-8"', "charset=utf-8; text/html", "; text/html", "text/ht(ml)", "text/html/x"],
)  # fmt: skip
def test_headers_without_a_type(value: str) -> None:
    assert extract_mime_type([value]) is None
    assert extract_mime_type([]) is None


@given(st.lists(st.text(st.sampled_from('texhml/;,="\\ \tcharset*'), max_size=40), max_size=5))
def test_any_headers(values: list[str]) -> None:
    found = extract_mime_type(values)
    assert found is None or "/" in found.essence


TAGS = "!DOCTYPE HTML,HTML,HEAD,SCRIPT,IFRAME,H1,DIV,FONT,TABLE,A,STYLE,TITLE,B,BODY,BR,P"


@pytest.mark.parametrize("tag", TAGS.split(","))
def test_the_tags_of_the_standard(tag: str) -> None:
    for name in (tag, tag.lower()):
        for end in (" ", ">"):
            assert sniff_html(f"\t\n\f\r <{name}{end}".encode()) == "text/html"
    assert sniff_html(f"<{tag}X>".encode()) in ("", "text/html" if tag == "B" else "")
    assert sniff_html(f"x<{tag}>".encode()) == ""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<!-- a page -->", "text/html"),
        (b"\xef\xbb\xbf<html>", "text/html"),
        ("\ufeff<!DOCTYPE html><p>".encode("utf-16-le"), "text/html"),
        ("\ufeff <html>".encode("utf-16-be"), "text/html"),
        (b"\n" * 5_000 + b"<html>", "text/html"),
        (b"<html\nlang='en'>", "text/html"),
        (b'<?xml version="1.0"?><!-- a --><!-- b -->\n<!DOCTYPE html PUBLIC "">', "application/xhtml+xml"),
        (b'<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml">', "application/xhtml+xml"),
        (b'<?xml version="1.0"?><rss>', ""),
        (b'<?xml version="1.0"?><!-- <html> --><svg>', ""),
        (b'<?xml version="1.0"?>' + b"<!-- a -->" * 500 + b"<svg>", ""),
        (b"<svg>", ""),
        (b"%PDF-1.7", ""),
        (b"plain words", ""),
        (b"", ""),
    ],
)  # fmt: skip
def test_bytes_that_begin_a_page(body: bytes, found: str) -> None:
    assert sniff_html(body) == found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<p>words\x0b and a stray \x01 control</p>" * 9, False),
        ("Grüße".encode() * 20, False),
        ("<section>wide words".encode("utf-16-le"), False),
        ("Привет".encode("windows-1251"), False),
        (b"<html>" + bytes(range(32)) * 9, False),
        (bytes(range(256)), True),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x04", True),
        (bytes(100), True),
        (b"", False),
    ],
)
def test_what_is_binary(body: bytes, expected: bool) -> None:
    assert is_binary(body) == expected
