"""FineWeb's rules by lines: lists and menus have short ones, without a full stop."""

from filters.text.measure import Measure
from filters.views.view import part

_SOURCE = '"The FineWeb Datasets", arXiv 2406.17557, section 3.5'

MEASURES = (
    Measure(
        "punctuated_line_fraction",
        ("line_counts",),
        (("min_punctuated_line_fraction", "NOT_PUNCTUATED"),),
        _SOURCE + "; with 1 in filters.paragraph the rule of C4, arXiv 1910.10683",
        lambda batch: part(batch, "line_counts", "punctuated"),
    ),
    Measure(
        "short_line_fraction",
        ("line_counts",),
        (("max_short_line_fraction", "SHORT_LINES"),),
        _SOURCE,
        lambda batch: part(batch, "line_counts", "short"),
    ),
)
"""Lines that end in a mark of punctuation, perhaps within quotation marks or brackets; lines of at most 30 characters.
FineWeb's third rule, characters in duplicated lines, is `max_duplicate_line_character_fraction` of Gopher's.
"""
