"""The images of a page, each marked in the tree with where it stands.

`mark_images` leaves a numbered placeholder in `src`, which survives text extraction and leads back to the image.
"""

import re
from dataclasses import dataclass

from lxml.html import HtmlElement

from pipeline.extract.images.addresses import addresses, base_address
from pipeline.extract.images.declared import IMAGES, caption_beside, declared_pixels, fold, is_pixel
from pipeline.extract.images.hidden import reveal

_PLACEHOLDER = re.compile(r"weft-image-(\d+)\.jpg$")


@dataclass(frozen=True)
class Image:
    url: str
    alt: str
    title: str
    caption: str
    width: int | None
    height: int | None


def mark_images(tree: HtmlElement, page_url: str) -> list[Image]:
    """Find the page's images in reading order, and mark each in the tree with a placeholder that names its index.

    Changes the tree: hidden images are put where they would be seen, other attributes of <img> go, and an <img>
    that cannot be seen, or has no usable address, goes too.
    """
    base = base_address(tree, page_url)
    reveal(tree, base)
    images: list[Image] = []
    for element in list(tree.iter(*IMAGES)):
        url = None if is_pixel(element) else next(addresses(element, base), None)
        if url is None:
            if element.getparent() is not None:
                element.drop_tree() if element.tag == "img" else element.drop_tag()  # an open <amp-img> holds the rest
            continue
        alt, title = fold(element.get("alt")), fold(element.get("title"))
        images.append(Image(url, alt, title, caption_beside(element), *declared_pixels(element)))
        element.tag = "img"
        element.attrib.clear()
        element.set("src", f"weft-image-{len(images) - 1}.jpg")
    return images


def marked(src: str | None) -> int | None:
    """Return the index that a placeholder names; None for any other address."""
    found = _PLACEHOLDER.search(src or "")
    return int(found[1]) if found else None
