"""Cut a page's tree into blocks: the runs of text between the boundaries that a reader sees, and images among them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree
from lxml.html import HtmlElement

from pipeline.extract.characters import clean
from pipeline.extract.content.markup import BLOCKS, EMPHASIS, HEADINGS, HIDDEN, INLINE, SKIPPED, TAG_NUMBER, families
from pipeline.extract.images import marked

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


class Place(NamedTuple):  # there is one for each element: a frozen dataclass takes five times as long to make
    """Where in the tree something stands; bits as in `markup`."""

    tag: str  # of the nearest element that is no part of a line
    tags: int  # of all elements around it
    families: int  # of all elements around it
    near: tuple[int, int, int]  # families of the three nearest elements, the nearest last
    number: int  # of the nearest element that is no part of a line; equal numbers, same element
    around: "Place | None"  # the next one around that
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

    def outwards(self) -> "Iterator[Place]":
        """Yield the place itself, and those around it."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.around


@dataclass(slots=True)
class Block:
    """One run of text.

    text has its white space folded, as it is measured; shown is the same as a reader sees it, which differs where white
    space is kept. row is the number of the table row that it is a part of; 0 for none.
    """

    text: str
    place: Place
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
    place: Place
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
        self.blocks: list[Block] = []
        self.spots: list[Spot] = []
        self.places = [Place("body", 0, 0, (0, 0, 0), 0, None, 0, 0, 0, 0, 0, False)]
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
            self.blocks.append(Block(text, place, *facts, shown))
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

    def inside(self, element: HtmlElement, tag: str) -> Place:
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
        return Place(
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


def cut(tree: HtmlElement) -> tuple[list[Block], list[Spot]]:
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


def _find_rows(blocks: list[Block]) -> None:
    """Tell which blocks are parts of one table row: what stands in cells, and lists or paragraphs of a few words."""
    rows: dict[int, list[Block]] = {}
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
