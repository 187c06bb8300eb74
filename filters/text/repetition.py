"""Gopher's repetition rules: texts that say the same again, by line, by paragraph or by words."""

from filters.text.measure import Measure
from filters.views.grams import DUPLICATE, TOP
from filters.views.view import part

_SOURCE = '"Scaling Language Models" (Gopher), arXiv 2112.11446, appendix A.1.1, table A1'


def _of_lines(name: str, field: str, code: str, source: str = _SOURCE) -> Measure:
    return Measure(
        name, ("line_counts",), ((f"max_{name}", code),), source, lambda batch: part(batch, "line_counts", field)
    )


def _of_grams(name: str, field: str, code: str) -> Measure:
    return Measure(
        name, ("gram_fractions",), ((f"max_{name}", code),), _SOURCE, lambda batch: part(batch, "gram_fractions", field)
    )


MEASURES = (
    _of_lines("duplicate_line_fraction", "duplicate_lines", "DUPLICATE_LINES"),
    _of_lines(
        "duplicate_line_character_fraction",
        "duplicate_line_characters",
        "DUPLICATE_LINE_CHARACTERS",
        _SOURCE + "; FineWeb, arXiv 2406.17557, section 3.5",
    ),
    _of_lines("duplicate_paragraph_fraction", "duplicate_paragraphs", "DUPLICATE_PARAGRAPHS"),
    _of_lines(
        "duplicate_paragraph_character_fraction", "duplicate_paragraph_characters", "DUPLICATE_PARAGRAPH_CHARACTERS"
    ),
    *(_of_grams(f"top_{n}_gram_fraction", f"top_{n}", f"TOP_{n}_GRAM") for n in TOP),
    *(_of_grams(f"duplicate_{n}_gram_fraction", f"duplicate_{n}", f"DUPLICATE_{n}_GRAMS") for n in DUPLICATE),
)
"""Lines and paragraphs that stand earlier in the text, as a part of their number and of the text's characters; the most
frequent 2- to 4-gram, and repeated 5- to 10-grams, as a part of the characters: see filters/views/grams.py.
"""
