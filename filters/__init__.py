"""Every filter, in the order in which they judge. To add one: its module, its line here, its cases file."""

from filters import captions, gibberish, interleaving, language, length
from filters.verdict import Filter

PAGE_FILTERS: tuple[Filter, ...] = (
    language.FILTER,
    length.FILTER,
    gibberish.EMOJI,
    gibberish.HASHTAGS,
    gibberish.URLS,
)
"""Judge a page by its text. Columns: text, language, language_score."""

DOCUMENT_FILTERS: tuple[Filter, ...] = (interleaving.INTERSPERSED, interleaving.SINGLE_IMAGE)
"""Judge the interleaved form of a page, once its unusable images are gone. Columns: page_id, kinds."""

CAPTION_FILTERS: tuple[Filter, ...] = (captions.FILTER,)
"""Judge an image's alt text. Columns: caption."""

__all__ = ["CAPTION_FILTERS", "DOCUMENT_FILTERS", "PAGE_FILTERS", "Filter"]
