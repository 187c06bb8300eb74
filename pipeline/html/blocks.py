"""Split a page's tree into blocks: runs of text between visible boundaries, and the images among them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

from lxml import etree
from lxml.html import HtmlElement

from pipeline.html.images import marked
from pipeline.html.tree import clean

# Part of a line of text; all other elements begin and end a block.
INLINE = frozenset(
    ("a", "abbr", "acronym", "amp-img", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
     "font", "i", "img", "ins", "kbd", "label", "mark", "math", "nobr", "output", "picture", "q", "rb", "rp",
     "rt", "ruby", "s", "samp", "small", "source", "span", "strike", "strong", "sub", "sup", "svg", "time",
     "tt", "u", "var", "wbr")
)  # fmt: skip
# Their content is not text.
SKIPPED = frozenset(
    ("area", "audio", "base", "canvas", "datalist", "dialog", "embed", "frame", "frameset", "head", "iframe",
     "input", "link", "map", "math", "meta", "meter", "noembed", "noframes", "object", "option", "param", "progress",
     "script", "select", "style", "svg", "template", "textarea", "title", "track", "video")
)  # fmt: skip
# Always blocks. Elements in none of these sets are unknown to HTML, or buttons.
BLOCKS = frozenset(
    ("address", "article", "aside", "blockquote", "body", "caption", "center", "col", "colgroup", "dd", "details",
     "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
     "header", "hgroup", "html", "legend", "li", "listing", "main", "menu", "nav", "noscript", "ol", "optgroup", "p",
     "plaintext", "pre", "search", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
     "xmp")
)  # fmt: skip
EMPHASIS = frozenset(("b", "strong", "em", "i"))
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))

TAGS = (
    "nav", "footer", "header", "aside", "main", "article", "section", "form", "table", "ul", "ol", "li", "dl",
    "blockquote", "pre", "figure", "figcaption", "p", "h1", "h2", "h3", "h4", "h5", "h6", "td", "th", "dd", "dt", "a",
    "button", "details", "summary", "address", "div", "span", "label", "fieldset", "center", "tr", "noscript",
)  # fmt: skip
"""Elements that characterize their text: an element's bit is its index here."""
TAG_NUMBER = {tag: number for number, tag in enumerate(TAGS)}

# Families of words that sites use in class, id, role and itemprop.
_FAMILIES = {
    "navigation": r"nav|menu|breadcrumb|crumb|toolbar|tabs?\b|pagina|pager",
    "foot": r"foot|copyright|legal|colophon|disclaimer",
    "head": r"head(er)?\b|masthead|banner|topbar|hero",
    "side": r"side|aside|widget|rail|column",
    "related": r"relat|recommend|similar|more-|also|trending|popular|latest|recent|teaser|suggest|upsell|cross",
    "social": r"share|social|follow|twitter|facebook|like",
    "advertisement": r"\bad\b|\bads|advert|sponsor|promo|outbrain|taboola|dfp",
    "overlay": r"cookie|consent|gdpr|modal|popup|overlay|newsletter|subscri|sign-?up|login|signin|register|toast|alert"
    r"|notice",
    "comment": r"comment|repl(y|ies)|disqus|discuss|respon",
    "about": r"meta|byline|author|date|time|tag|categor|label|badge|info\b|stat|count",
    "content": r"content|article|post|entry|story|body|main|text|prose|markdown|rich|wysiwyg|copy",
    "product": r"product|price|desc|spec|feature|detail|summary|review|rating|overview",
    "forum": r"thread|topic|message|forum|question|answer|qa|bbs|cooked|postbody",
    "list": r"list|grid|card|item|result|tile|collection|catalog|feed",
    "form": r"form|search|filter|sort|cart|checkout|btn|button|input|control",
    "hidden": r"hidden|hide\b|visually|sr-only|screen-reader|collapse|d-none|invisible",
    "caption": r"caption|credit|gallery|slide|carousel",
    "manual": r"doc|guide|help|faq|manual|reference|code|highlight|api",
}
FAMILIES = tuple(_FAMILIES)
HIDDEN = 1 << FAMILIES.index("hidden")
_PATTERNS = tuple(re.compile(pattern) for pattern in _FAMILIES.values())


def families(names: str) -> int:
    """Return the families of an element's names, a bit for each of FAMILIES."""
    found = 0
    for name in names.split():
        found |= _families(name)
    return found


@lru_cache(maxsize=50_000)
def _families(name: str) -> int:  # cached per name: sites combine few names in many ways
    lower = name[:500].lower()
    return sum(1 << number for number, pattern in enumerate(_PATTERNS) if pattern.search(lower))


_NAMING = ("class", "id", "role", "itemprop")
_GROUPS = frozenset(("ul", "ol", "dl", "table"))
_CELLS = ("td", "th")
MAX_ROW_WORDS = 60  # of a table row with lists or paragraphs that is one line; longer ones are page layout
_BREAK = "\v"  # a rendered line break, unlike those of the source
_KEPT = str.maketrans({"\n": _BREAK, " ": "\x0e", "\t": "\x0f", "\r": None})  # white space of preformatted text
# The forests were trained on text with a space between adjacent links, and without one between styled elements.
_MEASURED_SPACE, _SHOWN_SPACE = "\x10", "\x11"
_SHOWN = str.maketrans({"\x0e": " ", "\x0f": "\t"})
_PREFORMATTED = ("pre", "listing", "xmp", "plaintext")
_APART = frozenset(("span", "time", "label", "small", "cite", "data"))  # often separated only by style


class BlockPlace(NamedTuple):  # one per element: a frozen dataclass takes five times as long to create
    """A position in the tree: its nearest block element, and features of the ancestors."""

    tag: str  # of the nearest block element
    tags: int  # of all ancestors, bits of TAGS
    families: int  # of all ancestors, bits of FAMILIES
    near: tuple[int, int, int]  # families of the three nearest elements, the nearest last
    number: int  # identifies the nearest block element
    around: "BlockPlace | None"  # the enclosing place
    depth: int  # number of enclosing places
    group: int  # number of the nearest list or table; 0 for none
    table: int  # number of the nearest table, its row, and its cell
    row: int
    cell: int
    is_preformatted: bool

    @property
    def near_families(self) -> int:
        """The union of the families of the three nearest elements."""
        return self.near[0] | self.near[1] | self.near[2]

    def outwards(self) -> "Iterator[BlockPlace]":
        """Yield the place itself and the enclosing ones."""
        place: BlockPlace | None = self
        while place is not None:
            yield place
            place = place.around


@dataclass(slots=True)
class PageBlock:
    """One run of text.

    text has normalized white space, for features; shown is the rendered text, which differs in preformatted text.
    row is the number of its table row; 0 for none.
    """

    text: str
    place: BlockPlace
    link_characters: int
    emphasis_characters: int
    num_links: int
    num_breaks: int
    shown: str
    row: int = 0


@dataclass(slots=True)
class Spot:
    """The position of an image: before the block with index `before`."""

    image: int
    before: int
    place: BlockPlace
    in_link: bool


@dataclass(slots=True)
class _Run:
    """The text since the last boundary."""

    parts: list[str] = field(default_factory=list)
    link_characters: int = 0
    emphasis_characters: int = 0
    num_links: int = 0
    num_breaks: int = 0
    is_blank: bool = True
    spots: list[Spot] = field(default_factory=list)  # of images inside the text, which are placed after it

    def clear(self) -> None:
        self.parts.clear()
        self.spots.clear()
        self.link_characters = self.emphasis_characters = self.num_links = self.num_breaks = 0
        self.is_blank = True


class _Splitter:
    def __init__(self) -> None:
        self.blocks: list[PageBlock] = []
        self.spots: list[Spot] = []
        self.places = [BlockPlace("body", 0, 0, (0, 0, 0), 0, None, 0, 0, 0, 0, 0, False)]
        self.run = _Run()
        self.num_elements = 0
        self.links = self.emphases = 0
        self.link_ended = self.links_meet = self.span_ended = self.may_be_apart = False
        self.in_line: list[HtmlElement] = []  # open inline elements unknown to HTML

    def add(self, text: str | None) -> None:
        if not text:
            return
        text = clean(text)
        if text and not text.isspace():
            if self.may_be_apart and _is_seam(self.run.parts, text):
                self.run.parts.append(_SHOWN_SPACE)
            self.links_meet = self.span_ended = self.may_be_apart = False
            self.run.is_blank = False
        self.run.parts.append(text.translate(_KEPT) if self.places[-1].is_preformatted else text)
        if self.links or self.emphases:
            num = len(text.strip())
            self.run.link_characters += num * (self.links > 0)
            self.run.emphasis_characters += num * (self.emphases > 0)

    def flush(self) -> None:
        run = self.run
        if not run.is_blank:
            place, raw = self.places[-1], "".join(run.parts)
            text = shown = _folded(raw)
            if _MEASURED_SPACE in raw or _SHOWN_SPACE in raw:
                text = _folded(raw.replace(_MEASURED_SPACE, " ").replace(_SHOWN_SPACE, ""))
                raw = raw.replace(_MEASURED_SPACE, "").replace(_SHOWN_SPACE, " ")
                shown = _folded(raw)
            if place.is_preformatted:
                text = _folded(text.translate(_SHOWN).replace("\n", _BREAK))
                shown = "\n".join(line.rstrip() for line in raw.translate(_SHOWN).split(_BREAK)).strip("\n")
            counts = (run.link_characters, run.emphasis_characters, run.num_links, run.num_breaks)
            self.blocks.append(PageBlock(text, place, *counts, shown))
        self.spots += [Spot(s.image, len(self.blocks), s.place, s.in_link) for s in run.spots]
        run.clear()
        self.links_meet = self.span_ended = self.may_be_apart = False

    def enter(self, element: HtmlElement, tag: str) -> None:
        if tag in INLINE or (tag not in BLOCKS and self.is_in_line(element, tag)):
            if tag == "a":
                self.links += 1
                self.run.num_links += 1
                if self.link_ended:  # adjacent links are separate words
                    self.run.parts.append(" " if self.links_meet else _MEASURED_SPACE)
            elif tag in EMPHASIS:
                self.emphases += 1
            elif tag == "img":
                self.add_image(element)
            elif tag in _APART:
                self.may_be_apart |= self.span_ended
            elif tag not in INLINE:
                self.in_line.append(element)
        else:
            self.flush()
            self.places.append(self.inside(element, tag))
        self.add(element.text)

    def is_in_line(self, element: HtmlElement, tag: str) -> bool:
        """Return whether an element unknown to HTML, or a button, is part of a line of text.

        Browsers render unknown elements inline. For custom elements and buttons this depends on styles: they count as
        inline with text on both sides, or inside an inline element.
        """
        if any(child.tag in BLOCKS for child in element):
            return False
        if "-" not in tag and tag != "button":
            return True
        return bool(self.in_line) or (not self.run.is_blank and bool((element.tail or "").strip()))

    def inside(self, element: HtmlElement, tag: str) -> BlockPlace:
        around = self.places[-1]
        self.num_elements += 1
        names = " ".join(filter(None, map(element.get, _NAMING)))
        found = families(names) if names else 0
        style = element.get("style")
        style = "" if style is None else style.replace(" ", "").lower()
        if element.get("hidden") is not None or element.get("aria-hidden") == "true" or "display:none" in style:
            found |= HIDDEN
        bit = TAG_NUMBER.get(tag)
        tags = around.tags if bit is None else around.tags | 1 << bit
        near = (*around.near[1:], found)
        number = self.num_elements
        is_table = tag == "table"
        return BlockPlace(
            tag,
            tags,
            around.families | found,
            near,
            number,
            around,
            around.depth + 1,
            number if tag in _GROUPS else around.group,
            number if is_table else around.table,
            0 if is_table else number if tag == "tr" else around.row,
            0 if is_table else number if tag in _CELLS else around.cell,
            around.is_preformatted or tag in _PREFORMATTED or "white-space:pre" in style,
        )

    def leave(self, element: HtmlElement, tag: str) -> None:
        if self.in_line and self.in_line[-1] is element:
            self.in_line.pop()
        elif tag not in INLINE:
            self.flush()
            self.places.pop()
        elif tag == "a":
            self.links -= 1
            self.link_ended = self.links_meet = not (element.tail or "").strip()
        elif tag in _APART:
            self.span_ended = not element.tail and not self.places[-1].is_preformatted
        elif tag in EMPHASIS:
            self.emphases -= 1

    def add_image(self, element: HtmlElement) -> None:
        number = marked(element.get("src"))
        if number is not None:
            spot = Spot(number, len(self.blocks), self.places[-1], self.links > 0)
            (self.spots if self.run.is_blank else self.run.spots).append(spot)

    def add_break(self, tag: str) -> None:
        if tag == "hr":
            self.flush()
        else:
            self.run.parts.append(_BREAK)
            self.run.num_breaks += 1


def cut(tree: HtmlElement) -> tuple[list[PageBlock], list[Spot]]:
    """Return a page's blocks of text, and the positions of its images, both in reading order.

    Args: tree, with images marked by `mark_images`; it is not changed.
    """
    body = tree.find("body")
    splitter = _Splitter()
    walk = etree.iterwalk(tree if body is None else body, events=("start", "end", "comment", "pi"))
    top = None
    for event, element in walk:
        tag = element.tag
        if top is None:
            top = element
            splitter.add(element.text)
        elif event == "start":
            if tag in SKIPPED:
                walk.skip_subtree()
            elif tag in ("br", "hr"):
                splitter.add_break(tag)
            else:
                splitter.enter(element, tag)
        else:
            if element is top:
                break
            if event == "end" and tag not in SKIPPED and tag not in ("br", "hr"):
                splitter.leave(element, tag)
            splitter.add(element.tail)
    splitter.flush()
    _find_rows(splitter.blocks)
    return splitter.blocks, splitter.spots


def _folded(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split(_BREAK))
    return "\n".join(line for line in lines if line)


def _find_rows(blocks: list[PageBlock]) -> None:
    """Set the row of blocks that form one table row: text in cells, and short lists or paragraphs in them."""
    rows: dict[int, list[PageBlock]] = {}
    for block in blocks:
        if block.place.row:
            rows.setdefault(block.place.row, []).append(block)
    for number, row in rows.items():
        bare = [block for block in row if block.place.tag in _CELLS]
        is_line = (
            len({block.place.cell for block in row}) > 1
            and not any(block.place.tag in HEADINGS for block in row)
            and sum(block.text.count(" ") + 1 for block in row) <= MAX_ROW_WORDS
        )
        for block in row if is_line else bare:
            block.row = number


def _is_seam(parts: list[str], text: str) -> bool:
    """Return whether adjacent elements meet between two words: a capital follows a character that is none."""
    last = next((part[-1] for part in reversed(parts) if part), "")
    return text[0].isupper() and (last.islower() or last.isdigit() or last in ".,;:!?)%")


_ITEMS = frozenset(("td", "th", "li", "dt", "dd"))


def join(blocks: list[PageBlock], chosen_N: Iterable[bool], spots: list[Spot]) -> list[str | int]:
    """Return texts, and images by their number, in reading order.

    Items of one list and rows of one table are lines of one text; the cells of a row are on one line.
    """
    kept = [n for n, chosen in enumerate(chosen_N) if chosen]
    found: list[str | int] = []
    for (kind, _), group in groupby(in_order(blocks, kept, spots), key=_group_key):
        parts = list(group)
        if kind is Spot:
            found += [part.image for part in parts if isinstance(part, Spot)]
        else:
            found.append(_lines([part for part in parts if isinstance(part, PageBlock)]))
    return found


def in_order(blocks: list[PageBlock], numbers: Iterable[int], spots: list[Spot]) -> list[PageBlock | Spot]:
    """Return the blocks with the given numbers and the spots, in reading order."""
    placed: list[tuple[int, PageBlock | Spot]] = [(2 * spot.before - 1, spot) for spot in spots]
    placed += [(2 * number, blocks[number]) for number in numbers]
    return [part for _, part in sorted(placed, key=lambda pair: pair[0])]


def _group_key(part: PageBlock | Spot) -> tuple[type, object]:
    """Return the key of a part's text: items of one list or table share it, other blocks have their own."""
    if isinstance(part, Spot):
        return Spot, None
    if part.row:
        return PageBlock, part.place.table
    return PageBlock, part.place.group if part.place.tag in _ITEMS and part.place.group else part.place.number


def _lines(blocks: list[PageBlock]) -> str:
    lines = [blocks[0].shown]
    for before, block in pairwise(blocks):
        if block.row and block.row == before.row:
            lines[-1] += f" {block.shown}"
        else:
            lines.append(block.shown)
    return "\n".join(lines)
