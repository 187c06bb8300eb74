"""Every filter, in the order in which they judge.

To add one: its value in a module, its line here, its reasons, its cases. What is measured of a text is a Measure of
filters/text.py instead, and judges paragraphs and pages alike.
"""

from filters import document, images, page
from filters.features import Resources, with_features
from filters.filter import Filter
from filters.text import PAGE_TEXT_FILTERS, PARAGRAPH_TEXT_FILTERS

PARAGRAPH_FILTERS: tuple[Filter, ...] = PARAGRAPH_TEXT_FILTERS
"""Judge each text block of a page. Columns: text."""

PAGE_FILTERS: tuple[Filter, ...] = (
    page.FILTER,
    *PAGE_TEXT_FILTERS,
    page.EMOJI,
    page.HASHTAGS,
    page.URLS,
)
"""Judge a page by the text that its paragraphs leave. Columns: text, language, language_score."""

IMAGE_FILTERS: tuple[Filter, ...] = (images.FILTER,)
"""Judge an image before it is asked for. Columns: image_url."""

DOCUMENT_FILTERS: tuple[Filter, ...] = (
    document.INTERSPERSED,
    document.NUM_IMAGES,
    document.WORDS_PER_IMAGE,
    document.SINGLE_IMAGE,
)
"""Judge the interleaved form of a page, once its unusable images are gone. Columns: page_id, kinds, text."""

CAPTION_FILTERS: tuple[Filter, ...] = (images.WORDS, images.CHARACTERS)
"""Judge an image's alt text. Columns: caption."""

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
