"""Extract a page of HTML as blocks of text and images, in reading order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import trafilatura
from lxml.etree import _Element as Element
from lxml.etree import iterwalk
from lxml.html import HtmlElement
from trafilatura.settings import Document

from pipeline.html.blocks import TAG_NUMBER, PageBlock, Spot, cut, join
from pipeline.html.image_content import choose_images, image_features
from pipeline.html.images import Image, absolute, base_address, fold, mark_images, marked
from pipeline.html.main_content import choose_text, probabilities, word_counts
from pipeline.html.tree import clean, parse


def license_of(tree: HtmlElement, url: str) -> str:
    """Return the URL of a page's license: its first link with rel="license", unverified; '' without one."""
    stated = tree.xpath("(//link | //a | //area)[@rel and @href]")
    links = (e for e in stated if "license" in e.get("rel").lower().split())
    base = base_address(tree, url)
    return next((address for e in links if (address := absolute(e.get("href"), base))), "")


_FIGCAPTION = 1 << TAG_NUMBER["figcaption"]


@dataclass(frozen=True)
class Content:
    """A page's blocks and images, classified as main content or not."""

    blocks: list[PageBlock]
    p_N: npt.NDArray[np.float32]  # probability that each block is main text
    chosen_N: npt.NDArray[np.bool_]
    spots: list[Spot]
    chosen_spots: list[Spot]


def classify(tree: HtmlElement, images: list[Image]) -> Content:
    """Classify the content of a page that `mark_images` has marked.

    The classification of text does not depend on images. A figcaption is not a text block: it is only kept as the
    caption of its image.
    """
    blocks, spots = cut(tree)
    p_N, words_N = probabilities(blocks), word_counts(blocks)
    is_caption_N = np.array([bool(b.place.tags & _FIGCAPTION) for b in blocks], np.bool_)
    chosen_N = choose_text(p_N, words_N) & ~is_caption_N
    chosen_spots: list[Spot] = []
    if spots:
        chosen_spots = choose_images(spots, images, image_features(spots, images, blocks, p_N, words_N, chosen_N))
    return Content(blocks, p_N, chosen_N, spots, chosen_spots)


def choose(tree: HtmlElement, images: list[Image]) -> list[str | int]:
    """Return the main content of a page that `mark_images` has marked: texts, and images by their number, in order."""
    content = classify(tree, images)
    return join(content.blocks, content.chosen_N, content.chosen_spots)


_LINE_ENDS = {"item", "row", "p", "lb", "quote", "list", "head", "code", "table", "div"}


def read(tree: HtmlElement) -> list[str | int]:
    """Extract main content with trafilatura: texts, and images by their number, in reading order.

    Args: tree, marked by `mark_images`; it is changed.
    """
    document = trafilatura.bare_extraction(
        tree, include_images=True, include_comments=True, include_tables=True, with_metadata=False
    )
    if not isinstance(document, Document):
        return []
    parts = (document.body, document.commentsbody)
    return [found for part in parts if part is not None for found in _parts(part)]


def _parts(body: Element) -> Iterator[str | int]:
    """Yield the text of each element of the body; an image inside a text is yielded before or after it."""
    for element in body:
        before: list[int] = []
        after: list[int] = []
        words: list[str] = []
        for event, part in iterwalk(element, events=("start", "end")):
            if event == "start":
                index = marked(part.get("src")) if part.tag == "graphic" else None
                if index is not None:
                    (after if "".join(words).strip() else before).append(index)
                words.append(part.text or "")
            else:
                words.append("\n" if part.tag in _LINE_ENDS else " " if part.tag == "cell" else "")
                words.append(part.tail or "")
        yield from before
        lines = (" ".join(line.split()) for line in clean("".join(words)).split("\n"))
        text = "\n".join(line for line in lines if line)
        if text:
            yield text
        yield from after


Engine = Literal["blocks", "trafilatura"]


@dataclass(frozen=True)
class Page:
    """An extracted page: blocks in reading order (see schemas/tables.py), all its images, its license's URL."""

    title: str
    blocks: list[dict[str, object]]
    images: list[Image]
    license: str = ""

    @property
    def text(self) -> str:
        """The page's text blocks, joined with blank lines."""
        return "\n\n".join(str(b["text"]) for b in self.blocks if b["kind"] == "text")


def extract_page(body: bytes, charset: str | None, url: str, engine: Engine = "blocks") -> Page:
    """Extract the main content of a page: its text, with images in position.

    Args: body, without transfer and content encodings; charset of the HTTP header, or None; engine, Weft's block model
    or trafilatura.
    Raises: NotParseable, and any error of lxml and trafilatura on invalid pages. The caller turns them into rejections.
    """
    tree = parse(body, charset)
    title = fold(next((t.text for t in tree.iter("title") if not _is_of_drawing(t)), None))
    license = license_of(tree, url)
    images = mark_images(tree, url)
    found = read(tree) if engine == "trafilatura" else choose(tree, images)
    blocks = [_text(part) if isinstance(part, str) else _image(images[part]) for part in found]
    return Page(title, blocks, images, license)


def _is_of_drawing(title: HtmlElement) -> bool:
    """Return whether a title belongs to an SVG drawing, not to the page."""
    return next(title.iterancestors("svg"), None) is not None


def _text(text: str) -> dict[str, object]:
    return _block("text", text=text)


def _image(image: Image) -> dict[str, object]:
    return _block(
        "image",
        image_url=image.url,
        alt=image.alt or image.title or None,
        caption=image.caption or None,
        width=image.width,
        height=image.height,
    )


def _block(kind: str, **known: object) -> dict[str, object]:
    empty = dict.fromkeys(("text", "image_url", "alt", "caption", "width", "height"))
    return {"kind": kind, **empty, **known}
