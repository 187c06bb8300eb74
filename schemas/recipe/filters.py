"""Which pages, paragraphs, captions and images the rules keep."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.overrides import Section
from schemas.recipe.languages import LanguageCode
from schemas.recipe.values import Fraction


class Language(Section):
    keep: tuple[LanguageCode, ...] = Field(
        (), description="ISO 639 codes of the identification model that stay; empty keeps every language"
    )
    min_score: Fraction = Field(0.0, description="lowest probability of the page's language")


class TextBounds(Section):
    """Bounds of what is measured of a text; null is no bound, and what has none is not measured."""

    min_words: int | None = Field(None, ge=0, description="fewest words, as white space divides them")
    max_words: int | None = Field(None, ge=0, description="most words")
    min_mean_word_characters: float | None = Field(None, ge=0, description="least mean length of words")
    max_mean_word_characters: float | None = Field(None, ge=0, description="largest mean length of words")
    max_hashes_per_word: float | None = Field(None, ge=0, description="most # signs per word")
    max_ellipses_per_word: float | None = Field(None, ge=0, description="most ellipses per word")
    max_bullet_line_fraction: Fraction | None = Field(None, description="most lines that begin with a bullet")
    max_ellipsis_line_fraction: Fraction | None = Field(None, description="most lines that end in an ellipsis")
    min_alphabetic_word_fraction: Fraction | None = Field(None, description="fewest words with a letter")
    min_gopher_stop_words: int | None = Field(None, ge=0, description="fewest different of Gopher's 8 stop words")
    max_duplicate_line_fraction: Fraction | None = Field(None, description="most lines that stand earlier")
    max_duplicate_line_character_fraction: Fraction | None = Field(None, description="the same by characters")
    max_duplicate_paragraph_fraction: Fraction | None = Field(None, description="most paragraphs that stand earlier")
    max_duplicate_paragraph_character_fraction: Fraction | None = Field(None, description="the same by characters")
    max_top_2_gram_fraction: Fraction | None = Field(None, description="most characters in the most frequent 2-gram")
    max_top_3_gram_fraction: Fraction | None = Field(None, description="the same of 3 words")
    max_top_4_gram_fraction: Fraction | None = Field(None, description="the same of 4 words")
    max_duplicate_5_gram_fraction: Fraction | None = Field(None, description="most characters in repeated 5-grams")
    max_duplicate_6_gram_fraction: Fraction | None = Field(None, description="the same of 6 words")
    max_duplicate_7_gram_fraction: Fraction | None = Field(None, description="the same of 7 words")
    max_duplicate_8_gram_fraction: Fraction | None = Field(None, description="the same of 8 words")
    max_duplicate_9_gram_fraction: Fraction | None = Field(None, description="the same of 9 words")
    max_duplicate_10_gram_fraction: Fraction | None = Field(None, description="the same of 10 words")
    min_sentences: int | None = Field(None, ge=0, description="fewest sentences")
    max_curly_brackets: int | None = Field(None, ge=0, description="most opening curly brackets")
    max_lorem_ipsum: int | None = Field(None, ge=0, description="most times of 'lorem ipsum'")
    max_javascript_mentions: int | None = Field(None, ge=0, description="most times of 'javascript'")
    max_policy_phrases: int | None = Field(None, ge=0, description="most phrases as 'privacy policy', 'use cookies'")
    max_endless_words: int | None = Field(None, ge=0, description="most words of more than 1,000 characters")
    min_punctuated_line_fraction: Fraction | None = Field(None, description="fewest lines that end in punctuation")
    max_short_line_fraction: Fraction | None = Field(None, description="most lines of 30 characters or fewer")
    max_character_repetition_fraction: Fraction | None = Field(
        None, description="most runs of 10 characters that are among the most repeated"
    )
    max_word_repetition_fraction: Fraction | None = Field(None, description="most 5-grams that are said again")
    min_punctuation_fraction: Fraction | None = Field(None, description="fewest marks of punctuation among words")
    max_special_character_fraction: Fraction | None = Field(
        None, description="most characters that are no letters; white space counts as special"
    )
    max_upper_case_fraction: Fraction | None = Field(None, description="most characters that are capitals")
    max_digit_fraction: Fraction | None = Field(None, description="most characters that are digits")
    min_stop_word_fraction: Fraction | None = Field(None, description="fewest words of filters.lists.stop_words")
    min_common_word_fraction: Fraction | None = Field(None, description="fewest words of filters.lists.common_words")
    max_flagged_word_fraction: Fraction | None = Field(None, description="most words of filters.lists.flagged_words")
    max_spam_word_fraction: Fraction | None = Field(None, description="most words of filters.lists.spam_words")
    max_perplexity: float | None = Field(None, gt=0, description="most perplexity by filters.lists.kenlm")


class Lists(Section):
    """Files that filters compare with: of words, one a line, `#` begins a comment; and a language model."""

    stop_words: str | None = Field(None, min_length=1, description="words without content; null is a list of English")
    common_words: str | None = Field(None, min_length=1, description="words that a language uses")
    flagged_words: str | None = Field(None, min_length=1, description="words of pages that are not wanted")
    spam_words: str | None = Field(None, min_length=1, description="words of advertisement")
    kenlm: str | None = Field(
        None, min_length=1, description="language model, ARPA or binary, local; needs weft[kenlm]"
    )
    sentencepiece: str | None = Field(
        None, min_length=1, description="model that cuts words for kenlm, local; null cuts at white space"
    )


class Gibberish(Section):
    max_emoji_fraction: float | None = Field(None, ge=0, description="most emoji per word; null is no bound")
    max_hashtag_fraction: float | None = Field(None, ge=0, description="most hashtags per word; null is no bound")
    max_url_fraction: float | None = Field(None, ge=0, description="most addresses per word; null is no bound")


class Caption(Section):
    min_words: int = Field(1, ge=1, description="fewest words of an alt text in the caption corpus")
    min_characters: int | None = Field(None, ge=0, description="fewest characters of it; null is no bound")


class Image(Section):
    url_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="images whose address holds one of these, in any case, are not asked for"
    )


class Filters(Section):
    language: Language = Language()
    text: TextBounds = TextBounds()
    paragraph: TextBounds = TextBounds()
    gibberish: Gibberish = Gibberish()
    caption: Caption = Caption()
    image: Image = Image()
    lists: Lists = Lists()

    @model_validator(mode="after")
    def _bounds_have_their_lists(self) -> Self:
        for level in ("text", "paragraph"):
            bounds = getattr(self, level)
            for key, needed in (
                ("min_common_word_fraction", "common_words"),
                ("max_flagged_word_fraction", "flagged_words"),
                ("max_spam_word_fraction", "spam_words"),
                ("max_perplexity", "kenlm"),
            ):
                if getattr(bounds, key) is not None and getattr(self.lists, needed) is None:
                    raise ValueError(f"filters.{level}.{key} needs filters.lists.{needed}, the path of a file")
        return self
