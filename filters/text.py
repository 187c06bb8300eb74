"""Text filters for pages and paragraphs: a function for each measure in TEXT_FILTERS of schemas/reasons.py.

Words, lines and n-grams come from the features of filters/features.py.
"""

from collections.abc import Callable

import pyarrow as pa

from filters.features import DUPLICATE, TOP, part
from filters.filter import Filter, Threshold, threshold_filter
from filters.words import count, per
from schemas.reasons import TEXT_FILTERS, of_paragraph

Measure = tuple[tuple[str, ...], Callable[[pa.RecordBatch], pa.Array]]  # columns, function
_POLICY = r"(?i)terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"


def _column(name: str) -> Measure:
    return (name,), lambda batch: batch[name]


def _part(column: str, field: str) -> Measure:
    return (column,), lambda batch: part(batch, column, field)


def _times(pattern: str) -> Measure:
    return ("text",), lambda batch: count(batch["text"], pattern)


def _times_per_token(pattern: str) -> Measure:
    return (
        ("text", "token_counts"),
        lambda batch: per(count(batch["text"], pattern), part(batch, "token_counts", "tokens")),
    )


def _ratio(field: str, of: str) -> Measure:
    return ("token_counts",), lambda batch: per(part(batch, "token_counts", field), part(batch, "token_counts", of))


MEASURES: dict[str, Measure] = {
    "num_words": _column("num_words"),
    "mean_word_characters": _part("token_counts", "mean_word_length"),
    "hashes_per_word": _times_per_token("#"),
    "ellipses_per_word": _times_per_token(r"\.\.\.|…"),
    "bullet_line_fraction": _part("line_counts", "bullets"),
    "ellipsis_line_fraction": _part("line_counts", "cut"),
    "alphabetic_word_fraction": _ratio("alphabetic", "tokens"),
    "num_gopher_stop_words": _part("token_counts", "gopher_stop_words"),
    "duplicate_line_fraction": _part("line_counts", "duplicate_lines"),
    "duplicate_line_character_fraction": _part("line_counts", "duplicate_line_characters"),
    "duplicate_paragraph_fraction": _part("line_counts", "duplicate_paragraphs"),
    "duplicate_paragraph_character_fraction": _part("line_counts", "duplicate_paragraph_characters"),
    **{f"top_{n}_gram_fraction": _part("gram_fractions", f"top_{n}") for n in TOP},
    **{f"duplicate_{n}_gram_fraction": _part("gram_fractions", f"duplicate_{n}") for n in DUPLICATE},
    "num_sentences": _part("line_counts", "sentences"),
    "curly_brackets": _times(r"\{"),
    "lorem_ipsum": _times(r"(?i)lorem ipsum"),
    "javascript_mentions": _times(r"(?i)javascript"),
    "policy_phrases": _times(_POLICY),
    "very_long_words": _times(r"[^\s\p{Z}]{1000}[^\s\p{Z}]+"),
    "punctuated_line_fraction": _part("line_counts", "punctuated"),
    "short_line_fraction": _part("line_counts", "short"),
    "character_repetition_fraction": _column("character_repetition"),
    "word_repetition_fraction": _part("gram_fractions", "repeated_5"),
    "punctuation_fraction": _part("token_counts", "punctuation_fraction"),
    "special_character_fraction": _part("character_fractions", "special"),
    "upper_case_fraction": _part("character_fractions", "upper"),
    "digit_fraction": _part("character_fractions", "digits"),
    "stop_word_fraction": _ratio("stop_words", "words"),
    "common_word_fraction": _ratio("common_words", "words"),
    "flagged_word_fraction": _ratio("flagged_words", "words"),
    "spam_word_fraction": _ratio("spam_words", "words"),
    "perplexity": _column("perplexity"),
}


def _filter(measure: str, section: str) -> Filter:
    """Make the filter with all thresholds on a measure in a section of `filters`."""
    reads, function = MEASURES[measure]
    rows = [row for row in TEXT_FILTERS if row.measure == measure]
    of_page = section == "text"
    thresholds = tuple(
        Threshold(f"filters.{section}.{row.key}", row.code if of_page else of_paragraph(row.code)) for row in rows
    )
    name = measure if of_page else f"paragraph_{measure}"
    return threshold_filter(name, reads, measure, thresholds, rows[0].source, function)


_NAMES = tuple(dict.fromkeys(row.measure for row in TEXT_FILTERS))
PAGE_TEXT_FILTERS: tuple[Filter, ...] = tuple(_filter(name, "text") for name in _NAMES)
PARAGRAPH_TEXT_FILTERS: tuple[Filter, ...] = tuple(_filter(name, "paragraph") for name in _NAMES)
