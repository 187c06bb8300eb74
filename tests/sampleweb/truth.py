"""The ground truth of every page and image, from the plan."""

from typing import Any

from tests.sampleweb.captions import caption
from tests.sampleweb.pages import WITH_FIGURES
from tests.sampleweb.pictures import NOTHING_DRAWN, Picture
from tests.sampleweb.plan import Block, Page


def page_truth(page: Page, warc_file: str) -> dict[str, Any]:
    """Return what holds of a page's capture; the keys are explained in README.md."""
    return {
        "url": page.url,
        "captured_at": page.captured_at,
        "warc_file": warc_file,
        "case": page.case,
        "language": page.language if page.paragraphs else "",
        "charset": page.charset,
        "layout": page.layout,
        "title": page.title,
        "fate": page.fate,
        "document_rule": page.document_rule,
        "coin": page.fate == "interleaved" and page.num_surviving_images == 1,
        "paragraphs": page.paragraphs,
        "blocks": [_block(block, page.layout in WITH_FIGURES) for block in page.blocks],
        "faults": [{"rule": rule, "block": block} for rule, block in page.faults],
        "captions": list(dict.fromkeys((p.picture.url, p.alt, p.matches) for p in page.shown)),
    }


def image_truth(picture: Picture) -> dict[str, Any]:
    """Return what holds of an image's address."""
    return {
        "image_url": picture.url,
        "fate": picture.fate,
        "flaw": picture.flaw,
        "same_bytes_as": picture.same_as.url if picture.same_as else None,
        "scene": None if picture.flaw in NOTHING_DRAWN else caption(picture.scene),
        "width": picture.width,
        "height": picture.height,
    }


def _block(block: Block, in_figure: bool) -> dict[str, str]:
    if isinstance(block, str):
        return {"text": block}
    return {"image": block.picture.url, "alt": block.alt, "caption": block.caption if in_figure else ""}
