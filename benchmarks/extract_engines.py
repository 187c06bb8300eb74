"""The engines that are timed page by page: a name, and a factory of a function from a response to its text.

Each engine imports what it needs when it is asked for, so that a process holds one engine alone.
"""

import logging
from collections.abc import Callable

from pipeline.warc.responses import Response

Engine = Callable[[Response], str]


def trafilatura() -> Engine:
    """Text only, by stock trafilatura."""
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return lambda page: trafilatura.extract(page.body) or ""


def resiliparse() -> Engine:
    """Text only, by resiliparse's main content extraction."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    def extract(page: Response) -> str:
        tree = HTMLTree.parse_from_bytes(page.body, page.charset or detect_encoding(page.body) or "utf-8")
        return str(extract_plain_text(tree, main_content=True))

    return extract


def kept() -> Engine:
    """All that recipe `everything` extracts: text, images, captions, language."""
    from pipeline.html.captions import caption_of
    from pipeline.html.page import extract_page
    from pipeline.html.prefilter import identify

    def extract(page: Response) -> str:
        found = extract_page(page.body, page.charset, page.url)
        for image in found.images:
            caption_of(image)
        identify(found.text)
        return found.text

    return extract


def rejected() -> Engine:
    """The cost of a page rejected by the language check, the last and slowest of the prefilter."""
    from pipeline.html.prefilter import Prefilter
    from schemas import recipe

    gates = Prefilter(recipe.PrefilterConfig(languages=("vo",), min_language_score=0.5))

    def refuse(page: Response) -> str:
        gates.refuse(page)
        return ""

    return refuse


ENGINES: dict[str, Callable[[], Engine]] = {f.__name__: f for f in (trafilatura, resiliparse, kept, rejected)}


def text_of(engine: Engine, page: Response) -> str:
    """Return a page's text; '' if an engine fails on the page."""
    try:
        return engine(page)
    except Exception:
        return ""
