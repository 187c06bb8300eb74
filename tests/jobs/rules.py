"""A second implementation of the papers' rules: for each threshold of a recipe, its reason code and a simple count."""

from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter

from plain import (
    Text,
    again,
    duplicate_grams,
    is_punctuated,
    is_special,
    part,
    repeated_characters,
    repeated_words,
    top_gram,
)

from filters.words import ENGLISH

GOPHER_STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
BULLETS = tuple("•‣▪◦●*-")
ELLIPSES = ("...", "…")
Count = Callable[[Text], float]


def per_word(is_one: Callable[[str], bool], text: Text) -> float:
    """Count words separated by white space, for measures of spam."""
    return sum(map(is_one, text.text.split())) / max(text.num_words, 1)


def of_top(n: int, text: Text) -> float:
    return top_gram(text.tokens, n) / text.length


def of_grams(n: int, text: Text) -> float:
    return duplicate_grams(text.tokens, n) / text.length


def of_again(cut: Callable[[Text], list[str]], text: Text) -> float:
    return len(again(cut(text))) / max(len(cut(text)), 1)


def characters_of_again(cut: Callable[[Text], list[str]], text: Text) -> float:
    return sum(map(len, again(cut(text)))) / text.length


LINES, PARAGRAPHS = attrgetter("lines"), attrgetter("paragraphs")
RULES: dict[str, tuple[str, Count]] = {
    "min_words": ("TOO_SHORT", lambda t: t.num_words),
    "max_words": ("TOO_LONG", lambda t: t.num_words),
    # Gopher
    "min_mean_word_characters": ("SHORT_WORDS", Text.mean_word),
    "max_mean_word_characters": ("LONG_WORDS", Text.mean_word),
    "max_hashes_per_word": ("SYMBOL_RATIO", lambda t: t.per_token("#")),
    "max_ellipses_per_word": ("ELLIPSES", lambda t: t.per_token(*ELLIPSES)),
    "max_bullet_line_fraction": ("BULLETS", lambda t: part(lambda line: line.startswith(BULLETS), t.lines)),
    "max_ellipsis_line_fraction": ("ELLIPSIS_LINES", lambda t: part(lambda line: line.endswith(ELLIPSES), t.lines)),
    "min_alphabetic_word_fraction": ("NOT_ALPHABETIC", lambda t: part(lambda w: any(map(str.isalpha, w)), t.tokens)),
    "min_gopher_stop_words": (
        "FEW_DIFFERENT_STOP_WORDS",
        lambda t: len(GOPHER_STOP_WORDS & {word.lower() for word in t.words}),
    ),
    "max_duplicate_line_fraction": ("DUPLICATE_LINES", partial(of_again, LINES)),
    "max_duplicate_line_character_fraction": ("DUPLICATE_LINE_CHARACTERS", partial(characters_of_again, LINES)),
    "max_duplicate_paragraph_fraction": ("DUPLICATE_PARAGRAPHS", partial(of_again, PARAGRAPHS)),
    "max_duplicate_paragraph_character_fraction": (
        "DUPLICATE_PARAGRAPH_CHARACTERS",
        partial(characters_of_again, PARAGRAPHS),
    ),
    **{f"max_top_{n}_gram_fraction": (f"TOP_{n}_GRAM", partial(of_top, n)) for n in (2, 3, 4)},
    **{f"max_duplicate_{n}_gram_fraction": (f"DUPLICATE_{n}_GRAMS", partial(of_grams, n)) for n in range(5, 11)},
    # C4
    "min_sentences": ("FEW_SENTENCES", Text.sentences),
    "max_curly_brackets": ("CURLY_BRACKETS", lambda t: t.text.count("{")),
    "max_lorem_ipsum": ("LOREM_IPSUM", lambda t: t.lower.count("lorem ipsum")),
    "max_javascript_mentions": ("JAVASCRIPT", lambda t: t.lower.count("javascript")),
    "max_policy_phrases": ("POLICY_PHRASES", lambda t: sum(map(t.lower.count, POLICY))),
    "max_very_long_words": ("VERY_LONG_WORDS", lambda t: sum(len(word) > 1000 for word in t.text.split())),
    # FineWeb
    "min_punctuated_line_fraction": ("NOT_PUNCTUATED", lambda t: part(is_punctuated, t.lines)),
    "max_short_line_fraction": ("SHORT_LINES", lambda t: part(lambda line: len(line) <= 30, t.lines)),
    # OBELICS
    "max_character_repetition_fraction": ("REPEATED_CHARACTERS", lambda t: repeated_characters(t.text)),
    "max_word_repetition_fraction": ("REPEATED_WORDS", lambda t: repeated_words(t.tokens)),
    "min_punctuation_fraction": ("LITTLE_PUNCTUATION", Text.punctuation),
    "max_special_character_fraction": ("SPECIAL_CHARACTERS", lambda t: part(is_special, t.text)),
    "min_stop_word_fraction": ("FEW_STOP_WORDS", lambda t: part(lambda word: word.lower() in ENGLISH, t.words)),
    # Kosmos-1
    "max_emoji_fraction": ("EMOJI", partial(per_word, lambda word: "\U0001f300" <= word[0] <= "\U0001faff")),
    "max_hashtag_fraction": (
        "HASHTAGS",
        partial(per_word, lambda word: word[0] == "#" and any(map(str.isalpha, word))),
    ),
    "max_url_fraction": ("URLS", partial(per_word, lambda word: word.startswith(("http://", "https://", "www.")))),
}


def broken(text: str, bounds: Mapping[str, float | None]) -> set[str]:
    """Return the reason codes of the thresholds that a text misses. KeyError for a threshold without a rule here."""
    read = Text(text)
    return {
        code
        for key, bound in bounds.items()
        if bound is not None
        for code, count in [RULES[key]]
        if (count(read) < bound if key.startswith("min_") else count(read) > bound)
    }
