"""One page of HTML to blocks of text and images, in reading order."""

from dataclasses import dataclass
from typing import Literal

from lxml.html import HtmlElement

from pipeline.extract import by_trafilatura
from pipeline.extract.content import choose
from pipeline.extract.images import Image, mark_images
from pipeline.extract.images.declared import fold
from pipeline.extract.licence import licence_of
from pipeline.extract.tree import parse

Engine = Literal["blocks", "trafilatura"]


@dataclass(frozen=True)
class Page:
    """What a page says: blocks in reading order (see schemas/tables.py), all its images, its licence."""

    title: str
    blocks: list[dict[str, object]]
    images: list[Image]
    licence: str = ""

    @property
    def text(self) -> str:
        """The page's text blocks, a blank line between them."""
        return "\n\n".join(str(b["text"]) for b in self.blocks if b["kind"] == "text")


def extract_page(body: bytes, charset: str | None, url: str, engine: Engine = "blocks") -> Page:
    """Extract the main content of a page: its text, and images where they stand in it.

    Args: body is decoded from transfer and content encodings; charset is the HTTP header's, or None; engine says who
    tells main content: our own block model, or trafilatura.
    Raises: NotParseable; whatever lxml and trafilatura raise on a page they cannot digest. The caller turns all of
    them into rejections.
    """
    tree = parse(body, charset)
    title = fold(next((t.text for t in tree.iter("title") if not _is_of_drawing(t)), None))
    licence = licence_of(tree, url)
    images = mark_images(tree, url)
    found = by_trafilatura.read(tree) if engine == "trafilatura" else choose(tree, images)
    blocks = [_text(part) if isinstance(part, str) else _image(images[part]) for part in found]
    return Page(title, blocks, images, licence)


def _is_of_drawing(title: HtmlElement) -> bool:
    """Tell an SVG's title from the page's."""
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
