"""Every filter, in the order in which they judge.

To add one: its module, its line here, its reasons, its cases file. What is measured of a text has its line in
filters/text instead, and judges paragraphs and pages alike.
"""

from filters import addresses, captions, gibberish, interleaving, language
from filters.text import MEASURES
from filters.verdict import Filter
from filters.views import Aids, with_views

PARAGRAPH_FILTERS: tuple[Filter, ...] = tuple(measure.of_paragraph for measure in MEASURES)
"""Judge each text block of a page. Columns: text."""

PAGE_FILTERS: tuple[Filter, ...] = (
    language.FILTER,
    *(measure.of_page for measure in MEASURES),
    gibberish.EMOJI,
    gibberish.HASHTAGS,
    gibberish.URLS,
)
"""Judge a page by the text that its paragraphs leave. Columns: text, language, language_score."""

IMAGE_FILTERS: tuple[Filter, ...] = (addresses.FILTER,)
"""Judge an image before it is asked for. Columns: image_url."""

DOCUMENT_FILTERS: tuple[Filter, ...] = (
    interleaving.INTERSPERSED,
    interleaving.NUM_IMAGES,
    interleaving.WORDS_PER_IMAGE,
    interleaving.SINGLE_IMAGE,
)
"""Judge the interleaved form of a page, once its unusable images are gone. Columns: page_id, kinds, text."""

CAPTION_FILTERS: tuple[Filter, ...] = (captions.WORDS, captions.CHARACTERS)
"""Judge an image's alt text. Columns: caption."""

__all__ = [
    "CAPTION_FILTERS",
    "DOCUMENT_FILTERS",
    "IMAGE_FILTERS",
    "PAGE_FILTERS",
    "PARAGRAPH_FILTERS",
    "Aids",
    "Filter",
    "with_views",
]
