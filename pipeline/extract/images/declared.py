"""What a page says of an image: its size and its words."""

import re
from collections.abc import Iterator

from lxml.html import HtmlElement

from pipeline.extract.characters import clean

IMAGES = ("img", "amp-img")
_PIXELS = re.compile(r"\s*([0-9]{1,5})(?:\.[0-9]*)?(?:px)?\s*", re.I)
_MAX_WRAPPERS = 3  # <a>, <picture> or <div> around an image, beside which its caption may stand


def declared_pixels(element: HtmlElement) -> tuple[int | None, int | None]:
    """Return the declared width and height, by attribute or else by style."""
    if element.get("layout") == "responsive":  # of amp-img: a ratio, not pixels
        return None, None
    width, height = _side(element, "width"), _side(element, "height")
    # a zero beside a real size is a template's way to say "not known"
    return (None if width == 0 and (height or 0) > 1 else width), (None if height == 0 and (width or 0) > 1 else height)


def is_pixel(element: HtmlElement) -> bool:
    """Tell whether the image is declared too small to be seen: a tracking pixel."""
    return any(side is not None and side <= 1 for side in declared_pixels(element))


def fold(text: str | None) -> str:
    """Return the text without characters that no reader sees, and with every run of white space made one space."""
    return " ".join(clean(text or "").split())


def caption_beside(element: HtmlElement) -> str:
    """Return the figcaption of the image's figure, or the caption that follows it by class; '' without either."""
    figure = next(element.iterancestors("figure"), None)
    if figure is not None:
        for caption in figure.iter("figcaption"):
            if next(caption.iterancestors("figure"), None) is figure:  # not that of a figure inside
                return _words(caption)
    return next((words for sibling in _captions_after(element) if (words := _words(sibling))), "")


def _captions_after(element: HtmlElement) -> Iterator[HtmlElement]:
    """Yield elements of class *caption* that follow the image, or its wrappers, before any other image."""
    node = element
    for _ in range(_MAX_WRAPPERS):
        for sibling in node.itersiblings():
            if sibling.tag in IMAGES or next(sibling.iter(*IMAGES), None) is not None:
                return
            if "caption" in (sibling.get("class") or "").lower():
                yield sibling
        parent = node.getparent()
        if parent is None or parent.tag in ("body", "figure") or _holds_more(parent):
            return
        node = parent


def _holds_more(wrapper: HtmlElement) -> bool:
    return len(list(wrapper.iter(*IMAGES))) > 1 or any(text.strip() for text in wrapper.itertext())


def _words(element: HtmlElement) -> str:
    return fold("".join(element.xpath(".//text()[not(ancestor::script or ancestor::style)]")))


def _side(element: HtmlElement, side: str) -> int | None:
    style = element.get("style") or ""
    styled = re.search(rf"(?:^|;)\s*{side}\s*:([^;]*)", style, re.I)
    if f"min-{side}" in style.lower():  # width:0;min-width:100% fills its frame
        styled = None
    for value in (element.get(side), styled[1] if styled else None):
        if found := _PIXELS.fullmatch(value or ""):
            return int(found[1])
    return None
