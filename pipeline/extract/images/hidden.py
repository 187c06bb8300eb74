"""Images that are no <img> yet: in <noscript>, in attributes of a <figure>, in <object>, <video> or a style."""

import math
import re
from urllib.parse import parse_qsl, unquote

import lxml.html
from lxml.etree import LxmlError
from lxml.html import HtmlElement

from pipeline.extract.depth import parse_fragment
from pipeline.extract.images.addresses import addresses, is_image, is_lazy, named_in_data
from pipeline.extract.images.declared import IMAGES, is_pixel
from pipeline.fetch.url import parse

_BACKGROUND = re.compile(r"background(?:-image)?\s*:[^;{}]{0,80}?\burl\(\s*([\"']?)([^\"'()\s]+)\1\s*\)", re.I)
_EXTENSIONS = re.compile(r"(?:\.(?:avif|gif|jpe?g|png|webp))+$")
_SIZE_IN_NAME = re.compile(r"-([0-9]+)x[0-9]+$|[-_]([0-9]{2,5})[wx]$|@[0-9.]+x$|-scaled$")
_SIZE_IN_QUERY = re.compile(r"w|h|q|wid|hei|im_?width|im_?height|width|height|quality|quality_?\w+|size|resize|fit|crop"
                            r"|dpr|auto|fm|format|strip|ssl")  # fmt: skip


def reveal(tree: HtmlElement, base: str) -> None:
    """Put hidden images where they would be seen. Of a lazy image and its <noscript> twin the better one stays."""
    for noscript in list(tree.iter("noscript")):
        if next(noscript.iter("img"), None) is None:
            _parse_text(noscript)
        hidden = [image for image in noscript.iter("img") if not is_pixel(image)]
        if len(hidden) == 1 and (twin := _twin(noscript, hidden[0], base)) is not None:
            _merge(hidden[0], twin, base)
        if next(noscript.iter("img"), None) is not None:
            noscript.drop_tag()
    for element in list(tree.iter("object", "embed", "video")):
        _image_of_embedded(element)
    for element in list(tree.iterfind(".//*[@role='img']")):
        _image_of_style(element)
    for figure in tree.iter("figure"):
        if next(figure.iter(*IMAGES, "video", "iframe"), None) is None:
            _image_of_figure(figure)


def _parse_text(noscript: HtmlElement) -> None:
    """Make elements of the images in a <noscript> whose content was escaped."""
    text = noscript.text or ""
    if "<img" not in text.lower():
        return
    try:
        fragment = parse_fragment(text)
    except (LxmlError, ValueError):
        return
    noscript.text = None
    for image in list(fragment.iter("img")):
        image.tail = None
        noscript.append(image)


def _twin(noscript: HtmlElement, hidden: HtmlElement, base: str) -> HtmlElement | None:
    """Find the lazy image that the <noscript> stands in for: right before it, after it, or around it."""
    parent = noscript.getparent()
    if parent is not None and parent.tag == "amp-img":
        return parent
    previous, following = noscript.getprevious(), noscript.getnext()
    lazy = []
    if previous is not None and not (previous.tail or "").strip():
        lazy += _only_image(previous)
    if following is not None and not (noscript.tail or "").strip():
        lazy += _only_image(following)
    own = _identity(next(addresses(hidden, base), None))
    identities = [_identity(next(addresses(image, base), None)) for image in lazy]
    for wanted in (own, None):  # the same picture, or else an image that has no address of its own
        if wanted in identities:
            return lazy[identities.index(wanted)]
    return None


def _only_image(element: HtmlElement) -> list[HtmlElement]:
    images = list(element.iter("img"))
    return images if len(images) == 1 and next(element.iterchildren("noscript"), None) is None else []


def _merge(hidden: HtmlElement, twin: HtmlElement, base: str) -> None:
    """Give the lazy image the better address, and the words and sizes that only its twin has."""
    found = [url for image in (twin, hidden) if (url := next(addresses(image, base), None))]
    for name in ("alt", "title", "width", "height"):
        if not twin.get(name) and hidden.get(name):
            twin.set(name, hidden.get(name))
    for name in list(twin.attrib):
        if is_lazy(name) or name in ("src", "srcset"):
            del twin.attrib[name]
    if found:
        twin.set("data-src", max(found, key=_stated_width))  # goes before the <source>s of a <picture>
    hidden.drop_tree()


def _identity(url: str | None) -> tuple[str, ...] | None:
    """What two addresses of one picture share: the file's name and query, but for sizes and formats."""
    if url is None:
        return None
    parts = parse(url)
    name = _EXTENSIONS.sub("", unquote(parts.path).rsplit("/", 1)[-1].lower())
    stem = _SIZE_IN_NAME.sub("", name)
    query = (f"{k}={v}" for k, v in parse_qsl(parts.query) if not _SIZE_IN_QUERY.fullmatch(k.lower()))
    return (stem or parts.path, *sorted(query))


def _stated_width(url: str) -> float:
    """Return the width that an address asks for; one that asks for none gives the original."""
    parts = parse(url)
    in_name = _SIZE_IN_NAME.search(_EXTENSIONS.sub("", parts.path.lower()))
    stated = [in_name[1] or in_name[2]] if in_name else []
    stated += [v for k, v in parse_qsl(parts.query) if k.lower() in ("w", "wid", "width", "imwidth", "resize", "fit")]
    widths = [int(found[0]) for value in stated if (found := re.match("[0-9]{1,6}", value or ""))]
    return min(widths, default=math.inf)


def _image_of_embedded(element: HtmlElement) -> None:
    """Put an image in the place of an <object> or <embed> that shows one, and before a <video> that has a poster.

    A browser shows the poster until somebody plays the video.
    """
    address = element.get({"object": "data", "embed": "src", "video": "poster"}[element.tag]) or ""
    if element.tag != "video" and not is_image(address, element.get("type")):
        return
    if not address.strip() or element.getparent() is None:
        return
    image = lxml.html.Element("img", src=address)
    for name in ("title", "width", "height"):
        if element.get(name):
            image.set(name, element.get(name))
    image.set("alt", element.get("aria-label") or "")
    element.addprevious(image)
    if element.tag != "video":
        element.drop_tree()


def _image_of_style(element: HtmlElement) -> None:
    """Put an image into an element that says it is one (role="img") and has it as its background."""
    found = _BACKGROUND.search(element.get("style") or "")
    if found and next(element.iter(*IMAGES, "svg"), None) is None:
        image = lxml.html.Element("img", src=found[2], alt=element.get("aria-label") or "")
        element.insert(0, image)
        image.tail, element.text = element.text, None


def _image_of_figure(figure: HtmlElement) -> None:
    """Put the image into a figure that names it in its attributes alone, as some sites' scripts expect it."""
    named = [figure.get("itemid") or ""] if (figure.get("itemtype") or "").endswith("/ImageObject") else []
    for address in (*named, *named_in_data(figure)[0]):
        if address:
            image = lxml.html.Element("img", src=address)
            figure.insert(0, image)
            image.tail, figure.text = figure.text, None
            return
