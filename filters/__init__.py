"""All filters, in execution order.

To add one: define it in a module, list it here, add its reasons and test cases. A text filter is instead an entry of
TEXT_FILTERS in schemas/reasons.py and a measure in filters/text.py, and applies to paragraphs and pages.
"""

from filters import document, images, page
from filters.features import Resources, with_features
from filters.filter import Filter
from filters.text import PAGE_TEXT_FILTERS, PARAGRAPH_TEXT_FILTERS

PARAGRAPH_FILTERS: tuple[Filter, ...] = PARAGRAPH_TEXT_FILTERS
"""Applied to each text block of a page. Columns: text."""

PAGE_FILTERS: tuple[Filter, ...] = (
    page.FILTER,
    *PAGE_TEXT_FILTERS,
    page.EMOJI,
    page.HASHTAGS,
    page.URLS,
)
"""Applied to a page and the text of its kept paragraphs. Columns: text, language, language_score."""

IMAGE_FILTERS: tuple[Filter, ...] = (images.FILTER,)
"""Applied to an image before it is fetched. Columns: image_url."""

DOCUMENT_FILTERS: tuple[Filter, ...] = (
    document.INTERSPERSED,
    document.NUM_IMAGES,
    document.WORDS_PER_IMAGE,
    document.SINGLE_IMAGE,
)
"""Applied to the interleaved form of a page without its dropped images. Columns: page_id, kinds, text."""

CAPTION_FILTERS: tuple[Filter, ...] = (images.WORDS, images.CHARACTERS)
"""Applied to an image's caption. Columns: caption."""

__all__ = [
    "CAPTION_FILTERS",
    "DOCUMENT_FILTERS",
    "IMAGE_FILTERS",
    "PAGE_FILTERS",
    "PARAGRAPH_FILTERS",
    "Filter",
    "Resources",
    "with_features",
]
