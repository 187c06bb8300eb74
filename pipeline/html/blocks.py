"""Cut a page's tree into blocks: the runs of text between the boundaries that a reader sees, and images among them."""

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

# Part of a line of text; every other element begins and ends a block.
INLINE = frozenset(
    ("a", "abbr", "acronym", "amp-img", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em",
     "font", "i", "img", "ins", "kbd", "label", "mark", "math", "nobr", "output", "picture", "q", "rb", "rp",
     "rt", "ruby", "s", "samp", "small", "source", "span", "strike", "strong", "sub", "sup", "svg", "time",
     "tt", "u", "var", "wbr")
)  # fmt: skip
# Nothing in them is read as text.
SKIPPED = frozenset(
    ("area", "audio", "base", "canvas", "datalist", "dialog", "embed", "frame", "frameset", "head", "iframe",
     "input", "link", "map", "math", "meta", "meter", "noembed", "noframes", "object", "option", "param", "progress",
     "script", "select", "style", "svg", "template", "textarea", "title", "track", "video")
)  # fmt: skip
# Blocks whatever stands beside them. What is in neither set nor skipped is unknown to HTML, or a button.
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
"""Elements that tell something of their text: the bit of each is its place here."""
TAG_NUMBER = {tag: number for number, tag in enumerate(TAGS)}

# What sites call things in class, id, role and itemprop: families of words, whatever the site.
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
    """Return the families that an element's names fall into, a bit for each of FAMILIES."""
    found = 0
    for name in names.split():
        found |= _families(name)
    return found


@lru_cache(maxsize=50_000)
def _families(name: str) -> int:  # one by one: sites put few names together in many ways
    lower = name[:500].lower()
    return sum(1 << number for number, pattern in enumerate(_PATTERNS) if pattern.search(lower))


_NAMING = ("class", "id", "role", "itemprop")
_GROUPS = frozenset(("ul", "ol", "dl", "table"))
_CELLS = ("td", "th")
MAX_ROW_WORDS = 60  # of a table row that holds lists or paragraphs and is still one line; longer ones lay out a page
_BREAK = "\v"  # a line end that is meant, told apart from those of the source
_KEPT = str.maketrans({"\n": _BREAK, " ": "\x0e", "\t": "\x0f", "\r": None})  # white space of preformatted text
# The forests learnt from text with a space before every link that follows another, and without one at seams of style
_MEASURED_SPACE, _SHOWN_SPACE = "\x10", "\x11"
_SHOWN = str.maketrans({"\x0e": " ", "\x0f": "\t"})
_PREFORMATTED = ("pre", "listing", "xmp", "plaintext")
_APART = frozenset(("span", "time", "label", "small", "cite", "data"))  # what sites set apart by style alone


class BlockPlace(NamedTuple):  # there is one for each element: a frozen dataclass takes five times as long to make
    """Where in the tree something stands; bits as in `markup`."""

    tag: str  # of the nearest element that is no part of a line
    tags: int  # of all elements around it
    families: int  # of all elements around it
    near: tuple[int, int, int]  # families of the three nearest elements, the nearest last
    number: int  # of the nearest element that is no part of a line; equal numbers, same element
    around: "BlockPlace | None"  # the next one around that
    depth: int  # how many there are around
    group: int  # number of the nearest list or table around it; 0 for none
    table: int  # number of the nearest table, its row, and its cell
    row: int
    cell: int
    is_preformatted: bool

    @property
    def near_families(self) -> int:
        """Families of the three nearest elements together."""
        return self.near[0] | self.near[1] | self.near[2]

    def outwards(self) -> "Iterator[BlockPlace]":
        """Yield the place itself, and those around it."""
        place: BlockPlace | None = self
        while place is not None:
            yield place
            place = place.around


@dataclass(slots=True)
class PageBlock:
    """One run of text.

    text has its white space folded, as it is measured; shown is the same as a reader sees it, which differs where white
    space is kept. row is the number of the table row that it is a part of; 0 for none.
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
    """Where an image stands: before block number `before`, counted from 0."""

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
    spots: list[Spot] = field(default_factory=list)  # of images that stand inside the text: they come after it

    def clear(self) -> None:
        self.parts.clear()
        self.spots.clear()
        self.link_characters = self.emphasis_characters = self.num_links = self.num_breaks = 0
        self.is_blank = True


class _Cutter:
    def __init__(self) -> None:
        self.blocks: list[PageBlock] = []
        self.spots: list[Spot] = []
        self.places = [BlockPlace("body", 0, 0, (0, 0, 0), 0, None, 0, 0, 0, 0, 0, False)]
        self.run = _Run()
        self.num_elements = 0
        self.links = self.emphases = 0
        self.link_ended = self.links_meet = self.span_ended = self.may_be_apart = False
        self.in_line: list[HtmlElement] = []  # open elements of names unknown to HTML that are part of a line

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
            place, whole = self.places[-1], "".join(run.parts)
            text = shown = _folded(whole)
            if _MEASURED_SPACE in whole or _SHOWN_SPACE in whole:
                text = _folded(whole.replace(_MEASURED_SPACE, " ").replace(_SHOWN_SPACE, ""))
                whole = whole.replace(_MEASURED_SPACE, "").replace(_SHOWN_SPACE, " ")
                shown = _folded(whole)
            if place.is_preformatted:
                text = _folded(text.translate(_SHOWN).replace("\n", _BREAK))
                shown = "\n".join(line.rstrip() for line in whole.translate(_SHOWN).split(_BREAK)).strip("\n")
            facts = (run.link_characters, run.emphasis_characters, run.num_links, run.num_breaks)
            self.blocks.append(PageBlock(text, place, *facts, shown))
        self.spots += [Spot(s.image, len(self.blocks), s.place, s.in_link) for s in run.spots]
        run.clear()
        self.links_meet = self.span_ended = self.may_be_apart = False

    def enter(self, element: HtmlElement, tag: str) -> None:
        if tag in INLINE or (tag not in BLOCKS and self.is_in_line(element, tag)):
            if tag == "a":
                self.links += 1
                self.run.num_links += 1
                if self.link_ended:  # neighbouring links are two words, whatever stands between them
                    self.run.parts.append(" " if self.links_meet else _MEASURED_SPACE)
            elif tag in EMPHASIS:
                self.emphases += 1
            elif tag == "img":
                self.see(element)
            elif tag in _APART:
                self.may_be_apart |= self.span_ended
            elif tag not in INLINE:
                self.in_line.append(element)
        else:
            self.flush()
            self.places.append(self.inside(element, tag))
        self.add(element.text)

    def is_in_line(self, element: HtmlElement, tag: str) -> bool:
        """Tell whether an element that HTML does not know, or a button, is part of a line of text.

        Browsers set unknown elements in line. What a custom element or a button is, styles say: it is part of a line
        where words stand on both sides of it, or around what it is in.
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

    def see(self, element: HtmlElement) -> None:
        number = marked(element.get("src"))
        if number is not None:
            spot = Spot(number, len(self.blocks), self.places[-1], self.links > 0)
            (self.spots if self.run.is_blank else self.run.spots).append(spot)

    def pause(self, tag: str) -> None:
        if tag == "hr":
            self.flush()
        else:
            self.run.parts.append(_BREAK)
            self.run.num_breaks += 1


def cut(tree: HtmlElement) -> tuple[list[PageBlock], list[Spot]]:
    """Return a page's blocks of text, and where its images stand between them, both in reading order.

    Args: tree holds images as `mark_images` left them. It is not changed.
    """
    body = tree.find("body")
    cutter = _Cutter()
    walk = etree.iterwalk(tree if body is None else body, events=("start", "end", "comment", "pi"))
    top = None
    for event, element in walk:
        tag = element.tag
        if top is None:
            top = element
            cutter.add(element.text)
        elif event == "start":
            if tag in SKIPPED:
                walk.skip_subtree()
            elif tag in ("br", "hr"):
                cutter.pause(tag)
            else:
                cutter.enter(element, tag)
        else:
            if element is top:
                break
            if event == "end" and tag not in SKIPPED and tag not in ("br", "hr"):
                cutter.leave(element, tag)
            cutter.add(element.tail)
    cutter.flush()
    _find_rows(cutter.blocks)
    return cutter.blocks, cutter.spots


def _folded(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split(_BREAK))
    return "\n".join(line for line in lines if line)


def _find_rows(blocks: list[PageBlock]) -> None:
    """Tell which blocks are parts of one table row: what stands in cells, and lists or paragraphs of a few words."""
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
    """Tell whether two words meet where one element ends and the next begins: a capital follows what is none."""
    last = next((part[-1] for part in reversed(parts) if part), "")
    return text[0].isupper() and (last.islower() or last.isdigit() or last in ".,;:!?)%")


_ITEMS = frozenset(("td", "th", "li", "dt", "dd"))


def join(blocks: list[PageBlock], chosen_N: Iterable[bool], spots: list[Spot]) -> list[str | int]:
    """Return texts, and images by their number, in reading order.

    Items of one list and rows of one table are lines of one text, the cells of a row stand on one line.
    """
    kept = [n for n, chosen in enumerate(chosen_N) if chosen]
    found: list[str | int] = []
    for (kind, _), group in groupby(in_order(blocks, kept, spots), key=_together):
        parts = list(group)
        if kind is Spot:
            found += [part.image for part in parts if isinstance(part, Spot)]
        else:
            found.append(_lines([part for part in parts if isinstance(part, PageBlock)]))
    return found


def in_order(blocks: list[PageBlock], numbers: Iterable[int], spots: list[Spot]) -> list[PageBlock | Spot]:
    """Return the blocks of some numbers, and spots, in reading order: a spot stands before the block that it names."""
    placed: list[tuple[int, PageBlock | Spot]] = [(2 * spot.before - 1, spot) for spot in spots]
    placed += [(2 * number, blocks[number]) for number in numbers]
    return [part for _, part in sorted(placed, key=lambda pair: pair[0])]


def _together(part: PageBlock | Spot) -> tuple[type, object]:
    """Tell what is one text: cells of the same list or table; every other block is one by itself."""
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
