"""Main content as trafilatura tells it, images where they stand in it: the engine that others use, to compare with."""

from collections.abc import Iterator

import trafilatura
from lxml.etree import _Element as Element
from lxml.etree import iterwalk
from lxml.html import HtmlElement
from trafilatura.settings import Document

from pipeline.extract.characters import clean
from pipeline.extract.images import marked

_LINE_ENDS = {"item", "row", "p", "lb", "quote", "list", "head", "code", "table", "div"}


def read(tree: HtmlElement) -> list[str | int]:
    """Return texts, and images by their number, in reading order. Changes the tree, which `mark_images` has marked."""
    document = trafilatura.bare_extraction(
        tree, include_images=True, include_comments=True, include_tables=True, with_metadata=False
    )
    if not isinstance(document, Document):
        return []
    parts = (document.body, document.commentsbody)
    return [found for part in parts if part is not None for found in _parts(part)]


def _parts(body: Element) -> Iterator[str | int]:
    """Yield the text of each element of the body; an image inside one stands before it or after it, as it is read."""
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
