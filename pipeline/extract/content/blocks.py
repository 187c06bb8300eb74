"""Cut a page's tree into blocks: the runs of text between the boundaries that a reader sees, and images among them."""

from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree
from lxml.html import HtmlElement

from pipeline.extract.content.markup import EMPHASIS, HIDDEN, INLINE, SKIPPED, TAG_NUMBER, families
from pipeline.extract.images import marked

_NAMING = ("class", "id", "role", "itemprop")
_GROUPS = frozenset(("ul", "ol", "dl", "table"))
_PRE = 1 << TAG_NUMBER["pre"]
_BREAK = "\v"  # a line end that is meant, told apart from those of the source


class Place(NamedTuple):  # there is one for each element: a frozen dataclass takes five times as long to make
    """Where in the tree something stands; bits as in `markup`."""

    tag: str  # of the nearest element that is no part of a line
    tags: int  # of all elements around it
    families: int  # of all elements around it
    near: tuple[int, int, int]  # families of the three nearest elements, the nearest last
    path: tuple[int, ...]  # numbers of the elements around it, the nearest last: equal numbers, same element
    group: int  # number of the nearest list or table around it; 0 for none
    row: int  # number of the nearest table row around it; 0 for none

    @property
    def near_families(self) -> int:
        """Families of the three nearest elements together."""
        return self.near[0] | self.near[1] | self.near[2]


@dataclass(slots=True)
class Block:
    """One run of text."""

    text: str
    place: Place
    link_characters: int
    emphasis_characters: int
    num_links: int
    num_breaks: int


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
        self.places = [Place("body", 0, 0, (0, 0, 0), (0,), 0, 0)]
        self.run = _Run()
        self.num_elements = 0
        self.links = self.emphases = 0
        self.link_ended = False

    def add(self, text: str | None) -> None:
        if not text:
            return
        self.run.is_blank &= text.isspace()
        self.run.parts.append(text.replace("\n", _BREAK) if self.places[-1].tags & _PRE else text)
        if self.links or self.emphases:
            num = len(text.strip())
            self.run.link_characters += num * (self.links > 0)
            self.run.emphasis_characters += num * (self.emphases > 0)

    def flush(self) -> None:
        run = self.run
        if not run.is_blank:
            lines = (" ".join(line.split()) for line in "".join(run.parts).split(_BREAK))
            text = "\n".join(line for line in lines if line)
            facts = (run.link_characters, run.emphasis_characters, run.num_links, run.num_breaks)
            self.blocks.append(Block(text, self.places[-1], *facts))
        self.spots += [Spot(s.image, len(self.blocks), s.place, s.in_link) for s in run.spots]
        run.clear()

    def enter(self, element: HtmlElement, tag: str) -> None:
        if tag in INLINE:
            if tag == "a":
                self.links += 1
                self.run.num_links += 1
                if self.link_ended:  # neighbouring links are two words, whatever stands between them
                    self.run.parts.append(" ")
            elif tag in EMPHASIS:
                self.emphases += 1
            elif tag == "img":
                self.see(element)
        else:
            self.flush()
            self.places.append(self.inside(element, tag))
        self.add(element.text)

    def inside(self, element: HtmlElement, tag: str) -> Place:
        around = self.places[-1]
        self.num_elements += 1
        names = " ".join(filter(None, map(element.get, _NAMING)))
        found = families(names) if names else 0
        if element.get("hidden") is not None or element.get("aria-hidden") == "true" or _is_unseen(element):
            found |= HIDDEN
        number = TAG_NUMBER.get(tag)
        tags = around.tags if number is None else around.tags | 1 << number
        near = (*around.near[1:], found)
        path = (*around.path, self.num_elements)
        group = self.num_elements if tag in _GROUPS else around.group
        row = self.num_elements if tag == "tr" else around.row
        return Place(tag, tags, around.families | found, near, path, group, row)

    def leave(self, element: HtmlElement, tag: str) -> None:
        if tag not in INLINE:
            self.flush()
            self.places.pop()
        elif tag == "a":
            self.links -= 1
            self.link_ended = not (element.tail or "").strip()
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
    return cutter.blocks, cutter.spots


def _is_unseen(element: HtmlElement) -> bool:
    style = element.get("style")
    return style is not None and "display:none" in style.replace(" ", "").lower()
