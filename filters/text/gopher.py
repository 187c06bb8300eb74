"""Gopher's quality rules: texts whose words and lines are not those of prose."""

from filters.text.measure import Measure
from filters.views.view import part
from filters.words import count, per

_SOURCE = '"Scaling Language Models" (Gopher), arXiv 2112.11446, appendix A.1.1'
_ELLIPSIS = r"\.\.\.|…"

MEASURES = (
    Measure(
        "mean_word_characters",
        ("token_counts",),
        (("min_mean_word_characters", "SHORT_WORDS"), ("max_mean_word_characters", "LONG_WORDS")),
        _SOURCE,
        lambda batch: part(batch, "token_counts", "mean_word_length"),
    ),
    Measure(
        "hashes_per_word",
        ("text", "token_counts"),
        (("max_hashes_per_word", "HASHES"),),
        _SOURCE,
        lambda batch: per(count(batch["text"], "#"), part(batch, "token_counts", "tokens")),
    ),
    Measure(
        "ellipses_per_word",
        ("text", "token_counts"),
        (("max_ellipses_per_word", "ELLIPSES"),),
        _SOURCE,
        lambda batch: per(count(batch["text"], _ELLIPSIS), part(batch, "token_counts", "tokens")),
    ),
    Measure(
        "bullet_line_fraction",
        ("line_counts",),
        (("max_bullet_line_fraction", "BULLETS"),),
        _SOURCE,
        lambda batch: part(batch, "line_counts", "bullets"),
    ),
    Measure(
        "ellipsis_line_fraction",
        ("line_counts",),
        (("max_ellipsis_line_fraction", "CUT_LINES"),),
        _SOURCE,
        lambda batch: part(batch, "line_counts", "cut"),
    ),
    Measure(
        "alphabetic_word_fraction",
        ("token_counts",),
        (("min_alphabetic_word_fraction", "NOT_ALPHABETIC"),),
        _SOURCE,
        lambda batch: per(part(batch, "token_counts", "alphabetic"), part(batch, "token_counts", "tokens")),
    ),
    Measure(
        "num_gopher_stop_words",
        ("token_counts",),
        (("min_gopher_stop_words", "FEW_DIFFERENT_STOP_WORDS"),),
        _SOURCE + ': two of "the, be, to, of, and, that, have, with"',
        lambda batch: part(batch, "token_counts", "gopher_stop_words"),
    ),
)
"""Words are the tokens of filters/views/tokens.py: with a letter or digit where characters of words are averaged, marks
of punctuation too where something is counted per word, as datatrove counts them. Blank lines are no lines. Capitals do
not count in stop words.
"""
