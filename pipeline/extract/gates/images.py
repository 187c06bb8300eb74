"""Take the images out of a page that forbids their use."""

from dataclasses import replace

from pipeline.extract.images.captions import Caption, caption_of
from pipeline.extract.page import Page


def without_images(page: Page) -> tuple[Page, list[str]]:
    """Return a page's text alone, and each address that it would have given, in a block or with a caption."""
    texts = [block for block in page.blocks if block["kind"] == "text"]
    shown = [str(block["image_url"]) for block in page.blocks if block["kind"] == "image"]
    told = [image.url for image in page.images if isinstance(caption_of(image), Caption)]
    return replace(page, blocks=texts, images=[]), list(dict.fromkeys(shown + told))
