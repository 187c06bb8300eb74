"""Text filters: rules of Gopher, C4, FineWeb, OBELICS and OmniCorpus, for pages and paragraphs alike."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from filters.features import DUPLICATE, TOP, part
from filters.filter import Filter, Threshold, threshold_filter
from filters.words import count, per
from schemas.reasons import of_paragraph


@dataclass(frozen=True)
class Measure:
    """What is measured, from which columns, and the bounds: a key of `filters.text` with its reason."""

    name: str
    reads: tuple[str, ...]
    bounds: tuple[tuple[str, str], ...]
    source: str
    of: Callable[[pa.RecordBatch], pa.Array]

    @property
    def of_page(self) -> Filter:
        """The filter that judges the text of a whole page by `filters.text`."""
        bounds = tuple(Threshold(f"filters.text.{key}", code) for key, code in self.bounds)
        return threshold_filter(self.name, self.reads, self.name, bounds, self.source, self.of)

    @property
    def of_paragraph(self) -> Filter:
        """The filter that judges one text block by `filters.paragraph`."""
        bounds = tuple(Threshold(f"filters.paragraph.{key}", of_paragraph(code)) for key, code in self.bounds)
        return threshold_filter(f"paragraph_{self.name}", self.reads, self.name, bounds, self.source, self.of)


LENGTH = (
    Measure(
        "num_words",
        ("num_words",),
        (("min_words", "TOO_SHORT"), ("max_words", "TOO_LONG")),
        "OBELICS, arXiv 2306.16527, appendix A.1; Gopher, arXiv 2112.11446, A.1.1",
        lambda batch: batch["num_words"],
    ),
)
"""num_words: runs of anything but white space, see filters/words.py. Gopher's words are counted so too: the paper does
not say what a word is, and a second count for the same key would be one too many.
"""


_GOPHER = '"Scaling Language Models" (Gopher), arXiv 2112.11446, appendix A.1.1'
_ELLIPSIS = r"\.\.\.|…"

GOPHER = (
    Measure(
        "mean_word_characters",
        ("token_counts",),
        (("min_mean_word_characters", "SHORT_WORDS"), ("max_mean_word_characters", "LONG_WORDS")),
        _GOPHER,
        lambda batch: part(batch, "token_counts", "mean_word_length"),
    ),
    Measure(
        "hashes_per_word",
        ("text", "token_counts"),
        (("max_hashes_per_word", "HASHES"),),
        _GOPHER,
        lambda batch: per(count(batch["text"], "#"), part(batch, "token_counts", "tokens")),
    ),
    Measure(
        "ellipses_per_word",
        ("text", "token_counts"),
        (("max_ellipses_per_word", "ELLIPSES"),),
        _GOPHER,
        lambda batch: per(count(batch["text"], _ELLIPSIS), part(batch, "token_counts", "tokens")),
    ),
    Measure(
        "bullet_line_fraction",
        ("line_counts",),
        (("max_bullet_line_fraction", "BULLETS"),),
        _GOPHER,
        lambda batch: part(batch, "line_counts", "bullets"),
    ),
    Measure(
        "ellipsis_line_fraction",
        ("line_counts",),
        (("max_ellipsis_line_fraction", "CUT_LINES"),),
        _GOPHER,
        lambda batch: part(batch, "line_counts", "cut"),
    ),
    Measure(
        "alphabetic_word_fraction",
        ("token_counts",),
        (("min_alphabetic_word_fraction", "NOT_ALPHABETIC"),),
        _GOPHER,
        lambda batch: per(part(batch, "token_counts", "alphabetic"), part(batch, "token_counts", "tokens")),
    ),
    Measure(
        "num_gopher_stop_words",
        ("token_counts",),
        (("min_gopher_stop_words", "FEW_DIFFERENT_STOP_WORDS"),),
        _GOPHER + ': two of "the, be, to, of, and, that, have, with"',
        lambda batch: part(batch, "token_counts", "gopher_stop_words"),
    ),
)
"""Words are the tokens of filters/features.py: with a letter or digit where characters of words are averaged, marks
of punctuation too where something is counted per word, as datatrove counts them. Blank lines are no lines. Capitals do
not count in stop words.
"""


_GOPHER_REPETITION = '"Scaling Language Models" (Gopher), arXiv 2112.11446, appendix A.1.1, table A1'


def _of_lines(name: str, field: str, code: str, source: str = _GOPHER_REPETITION) -> Measure:
    return Measure(
        name, ("line_counts",), ((f"max_{name}", code),), source, lambda batch: part(batch, "line_counts", field)
    )


def _of_grams(name: str, field: str, code: str) -> Measure:
    return Measure(
        name,
        ("gram_fractions",),
        ((f"max_{name}", code),),
        _GOPHER_REPETITION,
        lambda batch: part(batch, "gram_fractions", field),
    )


REPETITION = (
    _of_lines("duplicate_line_fraction", "duplicate_lines", "DUPLICATE_LINES"),
    _of_lines(
        "duplicate_line_character_fraction",
        "duplicate_line_characters",
        "DUPLICATE_LINE_CHARACTERS",
        _GOPHER_REPETITION + "; FineWeb, arXiv 2406.17557, section 3.5",
    ),
    _of_lines("duplicate_paragraph_fraction", "duplicate_paragraphs", "DUPLICATE_PARAGRAPHS"),
    _of_lines(
        "duplicate_paragraph_character_fraction", "duplicate_paragraph_characters", "DUPLICATE_PARAGRAPH_CHARACTERS"
    ),
    *(_of_grams(f"top_{n}_gram_fraction", f"top_{n}", f"TOP_{n}_GRAM") for n in TOP),
    *(_of_grams(f"duplicate_{n}_gram_fraction", f"duplicate_{n}", f"DUPLICATE_{n}_GRAMS") for n in DUPLICATE),
)
"""Lines and paragraphs that stand earlier in the text, as a part of their number and of the text's characters; the most
frequent 2- to 4-gram, and repeated 5- to 10-grams, as a part of the characters: see filters/features.py.
"""


_PAPER = '"Exploring the Limits of Transfer Learning" (C4), arXiv 1910.10683, section 2.2'
_CODE = "C4's code (tensorflow/datasets, c4_utils.py), which goes beyond the paper"
_POLICY = r"(?i)terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"


def _of_pattern(name: str, pattern: str, code: str, source: str) -> Measure:
    return Measure(name, ("text",), ((f"max_{name}", code),), source, lambda batch: count(batch["text"], pattern))


C4 = (
    Measure(
        "num_sentences",
        ("line_counts",),
        (("min_sentences", "FEW_SENTENCES"),),
        _PAPER + ": at least 5, of the lines that stay",
        lambda batch: part(batch, "line_counts", "sentences"),
    ),
    _of_pattern("curly_brackets", r"\{", "CURLY_BRACKETS", _PAPER + ": none on a page"),
    _of_pattern("lorem_ipsum", r"(?i)lorem ipsum", "LOREM_IPSUM", _PAPER + ": none on a page"),
    _of_pattern("javascript_mentions", r"(?i)javascript", "JAVASCRIPT", _PAPER + ": none in a line that stays"),
    _of_pattern("policy_phrases", _POLICY, "POLICY_PHRASES", _CODE + ": none in a line that stays"),
    _of_pattern(
        "endless_words", r"[^\s\p{Z}]{1000}[^\s\p{Z}]+", "ENDLESS_WORDS", _CODE + ": none in a line that stays"
    ),
)
"""Of these C4 judges single lines by words (3), terminal punctuation, javascript, policy phrases and endless words (of
more than 1,000 characters); whole pages by sentences, curly brackets and lorem ipsum. Set the former in
`filters.paragraph`, the latter in `filters.text`: our unit is the paragraph, which is mostly one line.
"""


_FINEWEB = '"The FineWeb Datasets", arXiv 2406.17557, section 3.5'

FINEWEB = (
    Measure(
        "punctuated_line_fraction",
        ("line_counts",),
        (("min_punctuated_line_fraction", "NOT_PUNCTUATED"),),
        _FINEWEB + "; with 1 in filters.paragraph the rule of C4, arXiv 1910.10683",
        lambda batch: part(batch, "line_counts", "punctuated"),
    ),
    Measure(
        "short_line_fraction",
        ("line_counts",),
        (("max_short_line_fraction", "SHORT_LINES"),),
        _FINEWEB,
        lambda batch: part(batch, "line_counts", "short"),
    ),
)
"""Lines that end in a mark of punctuation, perhaps within quotation marks or brackets; lines of at most 30 characters.
FineWeb's third rule, characters in duplicated lines, is `max_duplicate_line_character_fraction` of Gopher's.
"""


OBELICS = "OBELICS, arXiv 2306.16527, appendix A.1.3, and its released configuration"
OMNICORPUS = "OmniCorpus, arXiv 2406.08418: capitals and digits at most .8"


def _of_words(name: str, field: str, bound: tuple[str, str], source: str) -> Measure:
    """Make a measure: the part of a text's words that is in a list."""
    return Measure(
        name,
        ("token_counts",),
        (bound,),
        source,
        lambda batch: per(part(batch, "token_counts", field), part(batch, "token_counts", "words")),
    )


def _of_characters(name: str, field: str, code: str, source: str) -> Measure:
    return Measure(
        name,
        ("character_fractions",),
        ((f"max_{name}", code),),
        source,
        lambda batch: part(batch, "character_fractions", field),
    )


WORDING = (
    Measure(
        "character_repetition_fraction",
        ("character_repetition",),
        (("max_character_repetition_fraction", "REPEATED_CHARACTERS"),),
        OBELICS,
        lambda batch: batch["character_repetition"],
    ),
    Measure(
        "word_repetition_fraction",
        ("gram_fractions",),
        (("max_word_repetition_fraction", "REPEATED_WORDS"),),
        OBELICS,
        lambda batch: part(batch, "gram_fractions", "repeated_5"),
    ),
    Measure(
        "punctuation_fraction",
        ("token_counts",),
        (("min_punctuation_fraction", "LITTLE_PUNCTUATION"),),
        OBELICS,
        lambda batch: part(batch, "token_counts", "punctuation_fraction"),
    ),
    _of_characters("special_character_fraction", "special", "SPECIAL_CHARACTERS", OBELICS),
    _of_characters("upper_case_fraction", "upper", "UPPER_CASE", OMNICORPUS),
    _of_characters("digit_fraction", "digits", "DIGITS", OMNICORPUS),
    _of_words("stop_word_fraction", "stop_words", ("min_stop_word_fraction", "FEW_STOP_WORDS"), OBELICS),
    _of_words("common_word_fraction", "common_words", ("min_common_word_fraction", "FEW_COMMON_WORDS"), OBELICS),
    _of_words("flagged_word_fraction", "flagged_words", ("max_flagged_word_fraction", "FLAGGED_WORDS"), OBELICS),
    _of_words("spam_word_fraction", "spam_words", ("max_spam_word_fraction", "SPAM_WORDS"), OBELICS),
    Measure(
        "perplexity",
        ("perplexity",),
        (("max_perplexity", "PERPLEXITY"),),
        OBELICS,
        lambda batch: batch["perplexity"],
    ),
)
"""character_repetition_fraction: see filters/features.py. word_repetition_fraction: the part of a text's
5-grams that it says more than once. punctuation_fraction: of tokens; a text of fewer than 12 counts as punctuated
throughout. special_character_fraction: of characters, what is neither letter nor mark; white space too, as the bound
was chosen for. The others: the part of words that is in a list; lists and model are the recipe's `filters.lists`.
"""


MEASURES: tuple[Measure, ...] = (
    *LENGTH,
    *GOPHER,
    *REPETITION,
    *C4,
    *FINEWEB,
    *WORDING,
)
