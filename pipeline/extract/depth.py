"""Bound how deep the elements of a page nest, before a parser sees it.

Parsers take time that grows with the square of the depth, or stop reading. Browsers allow MAX_DEPTH levels; an element
below them becomes a sibling of the deepest one that is allowed, so no text is lost.
"""

import re
from collections import Counter

import lxml.html
import numpy as np
from lxml.html import HtmlElement

MAX_DEPTH = 512  # of Blink and WebKit (kMaximumHTMLParserDOMTreeDepth)
_SUSPECT_DEPTH = 100  # counted roughly, without elements whose end tags are optional: these make it 4 times as much
# What ends without a tag of its own, by the first two letters of the name, as `_may_be_deep` sees it
_ENDLESS = tuple(
    ord(a) | ord(b) << 16
    for a, b in ("p>", "p ", "li", "td", "th", "tr", "tb", "tf", "dt", "dd", "op", "br", "hr", "im", "in", "me", "wb",
                 "so", "em", "ar", "co", "pa")
)  # fmt: skip
_VOID = frozenset(("area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen",
                   "link", "meta", "param", "source", "track", "wbr"))  # fmt: skip
_RAW = frozenset(("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "plaintext"))
# An element of one of these names ends one right around it that is in the same set.
_NEIGHBOURS = (
    ("p",),
    ("li",),
    ("dt", "dd"),
    ("option", "optgroup"),
    ("td", "th"),
    ("tr",),
    ("tbody", "thead", "tfoot"),
)
_ENDED_BY = {name: frozenset(group) for group in _NEIGHBOURS for name in group}
_TOKEN = re.compile(
    r"<!--(?:.*?--!?>|.*)|<(?P<end>/?)(?P<name>[a-z][^\s/>]*+)(?:[^>=]++|=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z))?+)*+(?:>|\Z)",
    re.I | re.S,
)


def flatten(html: str) -> str:
    """Return markup whose elements nest at most MAX_DEPTH deep; the same string when they do already.

    The tags of a <template> that could hold no element are left out: what is in it would follow it, and be taken for
    what its host holds beside it. Linear in the markup's length. End tags that are left out are counted as if the
    element went on, unless its like follows.
    """
    return _flattened(html) if _may_be_deep(html) else html


def _may_be_deep(html: str) -> bool:
    codes = np.frombuffer(html.encode("utf-16-le", "surrogatepass"), np.uint16)
    at = np.flatnonzero(codes[:-3] == ord("<")) + 1
    is_end = codes[at] == ord("/")
    first = codes[at + is_end].astype(np.uint32) | 0x20
    second = codes[at + 1 + is_end].astype(np.uint32)
    second = second | np.where(second >= ord("A"), 0x20, 0).astype(np.uint32)
    is_letter = (first >= ord("a")) & (first <= ord("z"))
    counts = is_letter & ~np.isin(first | second << 16, _ENDLESS)
    depth = np.cumsum(np.where(is_end, -1, 1) * counts)
    return bool(len(depth)) and int((depth - np.minimum.accumulate(depth)).max()) > _SUSPECT_DEPTH


def _flattened(html: str) -> str:
    """Rewrite the tags: `around` holds the names of all open elements, `below` the one that stands below MAX_DEPTH."""
    pieces: list[str] = []
    around: list[str] = []
    num_open: Counter[str] = Counter()
    below: str | None = None
    done = 0
    while token := _TOKEN.search(html, done):
        pieces.append(html[done : token.start()])
        done = token.end()
        name = (token["name"] or "").lower()
        if not name or name in _VOID:
            pieces.append(token[0])
        elif token["end"]:
            if not num_open[name]:
                pieces.append(token[0])
                continue
            while True:
                last = around.pop()
                num_open[last] -= 1
                if last == name:
                    break
            if len(around) < MAX_DEPTH and not _is_left_out(name, len(around)):
                pieces.append(token[0])
            elif below:
                pieces.append(f"</{below}>")
            below = None
        else:
            if around and around[-1] in _ENDED_BY.get(name, ()):
                num_open[around.pop()] -= 1
                if len(around) >= MAX_DEPTH and below:
                    pieces.append(f"</{below}>")
                    below = None
            if len(around) >= MAX_DEPTH:
                if below:
                    pieces.append(f"</{below}>")
                below = None if name == "template" else name
            if not _is_left_out(name, len(around)):
                pieces.append(token[0])
            if name in _RAW:
                end = re.compile(rf"</{name}(?=[\s/>])", re.I).search(html, done)
                stop = end.start() if end and name != "plaintext" else len(html)
                pieces.append(html[done:stop])
                done = stop
            around.append(name)
            num_open[name] += 1
    pieces.append(html[done:])
    return "".join(pieces)


def _is_left_out(name: str, num_around: int) -> bool:
    return name == "template" and num_around >= MAX_DEPTH - 1


def parse_fragment(html: str) -> HtmlElement:
    """Parse markup that a page holds as text, into a <div>. Raises: LxmlError, ValueError as lxml does."""
    return lxml.html.fragment_fromstring(flatten(html), create_parent="div", parser=deep_parser())


def deep_parser() -> lxml.html.HTMLParser:
    """Return a parser that reads 2,048 levels; by itself libxml2 reads 256, and nothing of what follows."""
    return lxml.html.HTMLParser(huge_tree=True)
