"""What a page or an image forbids: directives in its headers, and in a page's meta elements.

Robots' directives are as Google documents them ("Robots meta tag, data-nosnippet, and X-Robots-Tag specifications");
noai and noimageai are DeviantArt's, noml is Mojeek's. tdm-reservation is TDMRep's (W3C community group final report of
10 May 2024); by it a meta element that says 0 lifts a header that says 1, whereas here whatever refuses counts, as
among robots' directives.
"""

import re
from collections.abc import Iterable, Iterator

from selectolax.lexbor import LexborHTMLParser

from schemas.recipe.values import DIRECTIVES

ALL_ROBOTS = "*"
MAX_SOURCE_CHARACTERS = 500
MAX_TAG_BYTES = 2_000  # of a meta element that forbids something

_WITH_VALUE = re.compile(  # no robot is called `max-snippet: 5`
    r"(?<![\w-])(?:unavailable_after|max-[\w-]++)\s*+:\s*+[^\s,;]*+"
)
_WORD = re.compile(r"([^\s,;:]+)(\s*:)?")
_RESERVATION = "tdm-reservation"
_NAMES = frozenset({"x-robots-tag", _RESERVATION})
_SPELLINGS = tuple(directive.encode() for directive in (*DIRECTIVES, "none"))


def in_headers(headers: Iterable[tuple[str, str]], agent: str) -> dict[str, str]:
    """Return what an answer's headers forbid to an agent: each directive, with the header that says it."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name.lower() in _NAMES:
            for directive in _said(name.lower(), value, agent):
                found.setdefault(directive, f"{name}: {value}"[:MAX_SOURCE_CHARACTERS])
    return found


def in_page(tree: LexborHTMLParser, agent: str) -> dict[str, str]:
    """Return what a page's meta elements forbid to an agent: each directive, with the element that says it."""
    found: dict[str, str] = {}
    for meta in tree.css("meta[name][content]"):
        name, value = meta.attributes["name"] or "", meta.attributes["content"] or ""
        if name.strip().lower() in ("robots", agent.lower(), _RESERVATION):
            for directive in _said(name.strip().lower(), value, agent):
                found.setdefault(directive, f'<meta name="{name}" content="{value}">'[:MAX_SOURCE_CHARACTERS])
    return found


def may_be_in_page(body: bytes, agent: str) -> bool:
    """Tell from a page's bytes whether `in_page` may find anything, at a quarter of the cost of a tree.

    Characters of the names and directives that are written as references (`no&#97;i`) are not seen.
    """
    if b"\x00" in body:  # UTF-16; in all other charsets of the web a tag's letters are those of ASCII
        return True
    names = (b"robots", agent.lower().encode(), _RESERVATION.encode())
    tags = (rest[:MAX_TAG_BYTES] for rest in body.lower().split(b"<meta")[1:])
    return any(any(name in tag for name in names) and any(word in tag for word in _SPELLINGS) for tag in tags)


def _said(name: str, value: str, agent: str) -> Iterator[str]:
    """Yield the directives for an agent in the value of a header or meta element of this name, in lower case."""
    if name == _RESERVATION:
        if value.strip() == "1":
            yield _RESERVATION
        return
    addressed = True  # until a robot's name comes, and from there on only those after ours
    for word, colon in _WORD.findall(_WITH_VALUE.sub("", value.lower())):
        if colon and not word[0].isdigit():  # as a time of day begins
            addressed = word in (ALL_ROBOTS, agent.lower())
        elif addressed and word == "none":
            yield "noindex"  # short for noindex, nofollow
        elif addressed and word in DIRECTIVES:
            yield word
