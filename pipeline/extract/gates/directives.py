"""What a page says to robots: its X-Robots-Tag headers and its robots meta elements."""

import re
from collections.abc import Iterable

from selectolax.lexbor import LexborHTMLParser

# `somebot: noindex`, but not `max-snippet: 5`
_FOR_ONE_ROBOT = re.compile(r"\s*(?!unavailable_after|max-)[\w.-]+\s*:", re.I)


def in_headers(headers: Iterable[tuple[str, str]]) -> set[str]:
    """Return the directives to every robot in an answer's headers, lower case."""
    values = (value for name, value in headers if name.lower() == "x-robots-tag")
    return _words(value for value in values if not _FOR_ONE_ROBOT.match(value))


def in_page(tree: LexborHTMLParser) -> set[str]:
    """Return the directives to every robot in a page's meta elements, lower case."""
    return _words(meta.attributes.get("content") or "" for meta in tree.css('meta[name="robots" i]'))


def _words(values: Iterable[str]) -> set[str]:
    found = {word.strip().lower() for value in values for word in value.split(",")}
    return found | {"noindex"} if "none" in found else found  # `none` is short for noindex, nofollow
