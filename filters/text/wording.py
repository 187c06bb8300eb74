"""OBELICS' rules by characters and words, OmniCorpus' by characters: texts that read unlike prose."""

from filters.text.measure import Measure
from filters.views.view import part
from filters.words import per

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


MEASURES = (
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
"""character_repetition_fraction: see filters/views/characters.py. word_repetition_fraction: the part of a text's
5-grams that it says more than once. punctuation_fraction: of tokens; a text of fewer than 12 counts as punctuated
throughout. special_character_fraction: of characters, what is neither letter nor mark; white space too, as the bound
was chosen for. The others: the part of words that is in a list; lists and model are the recipe's `filters.lists`.
"""
