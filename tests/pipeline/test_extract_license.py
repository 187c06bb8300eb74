"""The license that a page states."""

import pytest

from pipeline.html.page import extract_page

PAGE = "http://host.example/dir/page.html"
BY = "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (f'<head><link rel="license" href="{BY}"></head><p>words</p>', BY),
        (f'<p>words <a rel="noopener LICENSE" href="{BY}">CC</a></p>', BY),
        ('<a rel="license" href="terms.html">terms</a>', "http://host.example/dir/terms.html"),
        ('<head><base href="/top/"></head><a rel="license" href="terms.html">t</a>', "http://host.example/top/terms.html"),
        (f'<a rel="license" href="javascript:alert(1)">x</a><a rel="license" href="{BY}">CC</a>', BY),
        (f'<a rel="license" href="{"x" * 3_000}">x</a>', ""),
        (f'<a href="{BY}">CC</a> <a rel="nolicense" href="{BY}">no</a> <a rel="license">none</a>', ""),
    ],
)  # fmt: skip
def test_the_first_usable_link_that_says_so_is_the_licence(html: str, expected: str) -> None:
    assert extract_page(f"<html>{html}</html>".encode(), "utf-8", PAGE).license == expected
