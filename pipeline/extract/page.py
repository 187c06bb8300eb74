"""One page of HTML to blocks of text and images, in reading order."""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import lxml.html
import trafilatura
from lxml.etree import _Element as Element
from trafilatura.settings import Document

from pipeline.extract.charset import decode_html
from pipeline.extract.images import Image, mark_images, marked

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_LINE_ENDS = {"item", "row", "p", "lb", "quote", "list", "head", "code", "table", "div"}


@dataclass(frozen=True)
class Page:
    """What a page says: blocks in reading order (see schemas/tables.py) and every image, main content or not."""

    title: str
    blocks: list[dict[str, object]]
    images: list[Image]

    @property
    def text(self) -> str:
        """The page's text blocks, a blank line between them."""
        return "\n\n".join(str(b["text"]) for b in self.blocks if b["kind"] == "text")


class NotParseable(Exception):
    """No tree could be built from the bytes."""


def extract_page(body: bytes, charset: str | None, url: str, max_seconds: float) -> Page:
    """Extract the main content of a page: text by trafilatura, images where they stand in it.

    Args: body is decoded from transfer and content encodings; charset is the HTTP header's, or None.
    Raises: NotParseable; TimeoutError after max_seconds; whatever lxml and trafilatura raise on a page they
    cannot digest. The caller turns all of them into rejections.
    """
    with _alarm(max_seconds):
        html = _XML_DECLARATION.sub("", decode_html(body, charset).replace("\x00", ""))
        try:
            tree = lxml.html.document_fromstring(html)
        except (lxml.etree.ParserError, lxml.etree.ParseError, ValueError) as error:
            raise NotParseable(str(error)) from error
        title = " ".join((tree.findtext(".//title") or "").split())
        images = mark_images(tree, url)
        document = trafilatura.bare_extraction(
            tree, include_images=True, include_comments=True, include_tables=True, with_metadata=False
        )
        blocks: list[dict[str, object]] = []
        if isinstance(document, Document):
            for part in (document.body, document.commentsbody):
                if part is not None:
                    blocks += _blocks(part, images)
        return Page(title, blocks, images)


def _blocks(body: Element, images: list[Image]) -> Iterator[dict[str, object]]:
    """Yield a block for each element of the body; an image inside one stands before it or after it, as it is read."""
    for element in body:
        before: list[int] = []
        after: list[int] = []
        words: list[str] = []
        _walk(element, words, before, after)
        yield from (_image(images[i]) for i in before)
        lines = (" ".join(line.split()) for line in "".join(words).split("\n"))
        text = "\n".join(line for line in lines if line)
        if text:
            yield _block("text", text=text)
        yield from (_image(images[i]) for i in after)


def _walk(element: Element, words: list[str], before: list[int], after: list[int]) -> None:
    index = marked(element.get("src")) if element.tag == "graphic" else None
    if index is not None:
        (after if "".join(words).strip() else before).append(index)
    words.append(element.text or "")
    for child in element:
        _walk(child, words, before, after)
    if element.tag in _LINE_ENDS:
        words.append("\n")
    elif element.tag == "cell":
        words.append(" ")
    words.append(element.tail or "")


def _image(image: Image) -> dict[str, object]:
    return _block(
        "image",
        image_url=image.url,
        alt=image.alt or None,
        caption=image.caption or None,
        width=image.width,
        height=image.height,
    )


def _block(kind: str, **known: object) -> dict[str, object]:
    empty = dict.fromkeys(("text", "image_url", "alt", "caption", "width", "height"))
    return {"kind": kind, **empty, **known}


class _TimeUp(BaseException):
    """Passes through trafilatura, which catches every Exception of its fallbacks."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after so many seconds; only a process's main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(signum: int, frame: object) -> None:
        raise _TimeUp

    old = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _TimeUp:
        raise TimeoutError(f"took longer than {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
