"""What became of one page or image, told from the tables of a run.

named     what a person means by an id or an address
page      the story of one capture of a page
pictures  what became of its images and captions
image     the story of one image
fates     the ledger's rows as a story tells them
samples   where a document lies in the shards
"""

from typing import Any

from pipeline.lookup import Lookup
from pipeline.why.image import image_story
from pipeline.why.named import find
from pipeline.why.page import page_story
from schemas.errors import PathError

__all__ = ["why"]


def why(directory: str, name: str) -> dict[str, list[dict[str, Any]]]:
    """Tell the stories of what an id or address names: `pages`, a story for each capture in time order, and `images`.

    Raises: PathError when nothing of a run is there, or nothing in it goes by the name.
    """
    run = Lookup(directory)
    named = find(run, name)
    pages = sorted((page_story(run, place) for place in named.captures), key=lambda s: s.get("captured_at") or "")
    images = [image_story(run, image, url) for image, url in named.images.items()]
    if not pages and not images:
        raise PathError(named.unknown)
    return {"pages": pages, "images": images}
