"""All reason codes for rejections, and the table of text filters. Writing any other code is an error."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Reason:
    code: str
    level: str
    meaning: str


@dataclass(frozen=True)
class TextFilter:
    """One threshold on a text measure: `filters.text.KEY` for a page, `filters.paragraph.KEY` for a paragraph.

    measure: function in filters/text.py, and name in the column `measures`
    key:     begins with `min_` or `max_`: the smallest or largest value that is kept
    code:    reason code for a page; `of_paragraph` gives the one for a paragraph
    what:    what is measured, with its unit if any
    kind:    valid thresholds: a fraction, a count, a number >= 0, or a positive number
    note:    other cases with the same reason, for a page
    """

    measure: str
    key: str
    code: str
    what: str
    kind: Literal["fraction", "count", "number", "positive"]
    source: str
    note: str = ""

    @property
    def is_minimum(self) -> bool:
        """Whether the threshold is the smallest value that is kept."""
        return self.key.startswith("min_")

    def reason(self, section: Literal["text", "paragraph"]) -> Reason:
        """Return the reason for a page or paragraph beyond the threshold in a section of `filters`."""
        meaning = f"{self.what}: {'below' if self.is_minimum else 'above'} filters.{section}.{self.key}"
        if section == "text":
            return Reason(self.code, "page", meaning + self.note)
        return Reason(of_paragraph(self.code), "paragraph", meaning)


_GOPHER = '"Scaling Language Models" (Gopher), arXiv 2112.11446, appendix A.1.1'
_GOPHER_REPETITION = _GOPHER + ", table A1"
_C4 = '"Exploring the Limits of Transfer Learning" (C4), arXiv 1910.10683, section 2.2'
_C4_CODE = "C4's code (tensorflow/datasets, c4_utils.py), not in the paper"
_FINEWEB = '"The FineWeb Datasets", arXiv 2406.17557, section 3.5'
_OBELICS = "OBELICS, arXiv 2306.16527, appendix A.1.3, and its released configuration"
_OMNICORPUS = "OmniCorpus, arXiv 2406.08418: at most 0.8 capitals and digits"
_WORDS_SOURCE = "OBELICS, arXiv 2306.16527, appendix A.1; Gopher, arXiv 2112.11446, A.1.1"
_ON_A_PAGE, _IN_A_LINE = ": none on a page", ": none in a kept line"

# fmt: off
TEXT_FILTERS = (
    # Length. Also used for Gopher's word count: the paper does not define a word.
    TextFilter("num_words", "min_words", "TOO_SHORT", "words, split at white space", "count", _WORDS_SOURCE,
               "; or fewer than extract.prefilter.min_words"),
    TextFilter("num_words", "max_words", "TOO_LONG", "words, split at white space", "count", _WORDS_SOURCE),
    # Gopher's quality rules. Words are the tokens of filters/features.py: tokens with a letter or digit for the mean
    # length, punctuation marks too for counts per word, as in datatrove. Blank lines are ignored. Stop words are
    # case-insensitive.
    TextFilter("mean_word_characters", "min_mean_word_characters", "SHORT_WORDS", "mean length of words [characters]",
               "number", _GOPHER),
    TextFilter("mean_word_characters", "max_mean_word_characters", "LONG_WORDS", "mean length of words [characters]",
               "number", _GOPHER),
    TextFilter("hashes_per_word", "max_hashes_per_word", "SYMBOL_RATIO", "# signs per word", "number", _GOPHER),
    TextFilter("ellipses_per_word", "max_ellipses_per_word", "ELLIPSES", "ellipses per word", "number", _GOPHER),
    TextFilter("bullet_line_fraction", "max_bullet_line_fraction", "BULLETS", "lines that begin with a bullet",
               "fraction", _GOPHER),
    TextFilter("ellipsis_line_fraction", "max_ellipsis_line_fraction", "ELLIPSIS_LINES",
               "lines that end in an ellipsis", "fraction", _GOPHER),
    TextFilter("alphabetic_word_fraction", "min_alphabetic_word_fraction", "NOT_ALPHABETIC", "words with a letter",
               "fraction", _GOPHER),
    TextFilter("num_gopher_stop_words", "min_gopher_stop_words", "FEW_DIFFERENT_STOP_WORDS",
               "distinct words among Gopher's 8 stop words", "count",
               _GOPHER + ': two of "the, be, to, of, and, that, have, with"'),
    # Gopher's repetition rules: lines and paragraphs that occur earlier in the text; the most frequent 2- to 4-gram,
    # and repeated 5- to 10-grams, as a fraction of the characters.
    TextFilter("duplicate_line_fraction", "max_duplicate_line_fraction", "DUPLICATE_LINES", "repeated lines",
               "fraction", _GOPHER_REPETITION),
    TextFilter("duplicate_line_character_fraction", "max_duplicate_line_character_fraction",
               "DUPLICATE_LINE_CHARACTERS", "characters in repeated lines", "fraction",
               _GOPHER_REPETITION + "; FineWeb, arXiv 2406.17557, section 3.5"),
    TextFilter("duplicate_paragraph_fraction", "max_duplicate_paragraph_fraction", "DUPLICATE_PARAGRAPHS",
               "repeated paragraphs", "fraction", _GOPHER_REPETITION),
    TextFilter("duplicate_paragraph_character_fraction", "max_duplicate_paragraph_character_fraction",
               "DUPLICATE_PARAGRAPH_CHARACTERS", "characters in repeated paragraphs", "fraction", _GOPHER_REPETITION),
    *(TextFilter(f"top_{n}_gram_fraction", f"max_top_{n}_gram_fraction", f"TOP_{n}_GRAM",
                 f"characters in the most frequent {n}-gram", "fraction", _GOPHER_REPETITION) for n in (2, 3, 4)),
    *(TextFilter(f"duplicate_{n}_gram_fraction", f"max_duplicate_{n}_gram_fraction", f"DUPLICATE_{n}_GRAMS",
                 f"characters in repeated {n}-grams", "fraction", _GOPHER_REPETITION) for n in (5, 6, 7, 8, 9, 10)),
    # C4 filters lines by words (3), terminal punctuation, javascript, policy phrases and long words, and pages by
    # sentences, curly brackets and lorem ipsum. Set the former in `filters.paragraph`, the latter in `filters.text`:
    # Weft's unit is the paragraph, usually one line.
    TextFilter("num_sentences", "min_sentences", "FEW_SENTENCES", "sentences", "count",
               _C4 + ": at least 5 in the kept lines"),
    TextFilter("curly_brackets", "max_curly_brackets", "CURLY_BRACKETS", "opening curly brackets", "count",
               _C4 + _ON_A_PAGE),
    TextFilter("lorem_ipsum", "max_lorem_ipsum", "LOREM_IPSUM", "occurrences of 'lorem ipsum'", "count",
               _C4 + _ON_A_PAGE),
    TextFilter("javascript_mentions", "max_javascript_mentions", "JAVASCRIPT", "occurrences of 'javascript'", "count",
               _C4 + _IN_A_LINE),
    TextFilter("policy_phrases", "max_policy_phrases", "POLICY_PHRASES",
               "phrases such as 'privacy policy', 'use cookies'", "count", _C4_CODE + _IN_A_LINE),
    TextFilter("very_long_words", "max_very_long_words", "VERY_LONG_WORDS", "words of more than 1,000 characters",
               "count", _C4_CODE + _IN_A_LINE),
    # FineWeb's third rule, characters in repeated lines, is one of Gopher's.
    TextFilter("punctuated_line_fraction", "min_punctuated_line_fraction", "NOT_PUNCTUATED",
               "lines that end in punctuation, also before closing quotes or brackets", "fraction",
               _FINEWEB + "; with 1 in filters.paragraph the rule of C4, arXiv 1910.10683"),
    TextFilter("short_line_fraction", "max_short_line_fraction", "SHORT_LINES", "lines of 30 characters or fewer",
               "fraction", _FINEWEB),
    # OBELICS and OmniCorpus. The punctuation of a text with fewer than 12 tokens counts as 1. White space is a special
    # character, as in OBELICS. Lists and model are set in the recipe's `filters.lists`.
    TextFilter("character_repetition_fraction", "max_character_repetition_fraction", "REPEATED_CHARACTERS",
               "10-character n-grams among the most repeated", "fraction", _OBELICS),
    TextFilter("word_repetition_fraction", "max_word_repetition_fraction", "REPEATED_WORDS",
               "5-grams that occur more than once in the text", "fraction", _OBELICS),
    TextFilter("punctuation_fraction", "min_punctuation_fraction", "LITTLE_PUNCTUATION",
               "punctuation marks among tokens", "fraction", _OBELICS),
    TextFilter("special_character_fraction", "max_special_character_fraction", "SPECIAL_CHARACTERS",
               "characters that are not letters or marks, including white space", "fraction", _OBELICS),
    TextFilter("upper_case_fraction", "max_upper_case_fraction", "UPPER_CASE", "capitals among characters",
               "fraction", _OMNICORPUS),
    TextFilter("digit_fraction", "max_digit_fraction", "DIGITS", "digits among characters", "fraction", _OMNICORPUS),
    TextFilter("stop_word_fraction", "min_stop_word_fraction", "FEW_STOP_WORDS", "words of filters.lists.stop_words",
               "fraction", _OBELICS),
    TextFilter("common_word_fraction", "min_common_word_fraction", "FEW_COMMON_WORDS",
               "words of filters.lists.common_words", "fraction", _OBELICS),
    TextFilter("flagged_word_fraction", "max_flagged_word_fraction", "FLAGGED_WORDS",
               "words of filters.lists.flagged_words", "fraction", _OBELICS),
    TextFilter("spam_word_fraction", "max_spam_word_fraction", "SPAM_WORDS", "words of filters.lists.spam_words",
               "fraction", _OBELICS),
    TextFilter("perplexity", "max_perplexity", "PERPLEXITY", "perplexity by filters.lists.kenlm", "positive", _OBELICS),
)
# fmt: on
"""The table of text filters: recipe keys, reasons and docs derive from it; filters/text.py holds the measures."""


def of_paragraph(code: str) -> str:
    """Return the paragraph's reason code for the page's reason code of a threshold."""
    return f"PARAGRAPH_{code}"


REASONS = (
    # extract: parts of archives
    Reason("UNREADABLE", "record", "a byte range of the archive without a readable record"),
    Reason("NOT_AN_ARCHIVE", "record", "a file that is not WARC, ARC or WACZ"),
    Reason("TRUNCATED_RECORD", "record", "a record that ends before its declared length"),
    Reason("BAD_HTTP", "record", "a response whose HTTP headers or body encoding cannot be decoded"),
    Reason("NOT_HTML", "record", "a response that is not an HTML page, by its type or its bytes"),
    Reason("NO_URL", "record", "a response without a URL (WARC-Target-URI)"),
    Reason("ARCHIVE_FAILED", "record", "an archive that could not be opened or read; the same command tries it again"),
    Reason("NO_RESPONSE", "record", "an archive without any response: WET, WAT, or only revisits"),
    # extract: pages
    Reason("BINARY_BODY", "page", "a body that is declared HTML but is not text once decoded"),
    Reason("TOO_LARGE", "page", "an HTML body above extract.max_page_bytes"),
    Reason("NOT_PARSEABLE", "page", "an HTML body from which no tree could be built"),
    Reason("EXTRACTION_FAILED", "page", "extraction of the page raised an error, or its process died"),
    Reason("PAGE_TIMEOUT", "page", "a page that took more CPU time than extract.max_seconds"),
    Reason("PAGE_STALLED", "page", "a page whose process got too little CPU time; the same command retries it"),
    Reason("PAGE_MEMORY", "page", "a page that needed more than extract.max_memory_bytes"),
    Reason("HTTP_STATUS", "page", "an archived response with a status other than 200"),
    # extract: prefilter; WRONG_LANGUAGE and TOO_SHORT, below, also apply there
    Reason("BLOCKED_HOST", "page", "the page's host or URL is on extract.prefilter.blocklist"),
    Reason("PAGE_OPT_OUT", "page", "the page's headers or meta elements hold one of extract.prefilter.directives"),
    Reason("NO_IMAGE", "page", "a page without any image, with extract.prefilter.require_image"),
    # extract: captions
    Reason("FILE_NAME_CAPTION", "caption", "the caption is a file name"),
    Reason("BOILERPLATE_CAPTION", "caption", "the caption is a stock phrase, a URL, a number or a symbol"),
    # filter
    Reason("WRONG_LANGUAGE", "page", "not in extract.prefilter.languages, or not among filters.language.keep"),
    Reason("LOW_LANGUAGE_SCORE", "page", "language score below filters.language.min_score"),
    *(f.reason("text") for f in TEXT_FILTERS),
    *(f.reason("paragraph") for f in TEXT_FILTERS),
    Reason("EMOJI", "page", "emoji per word above filters.gibberish.max_emoji_fraction"),
    Reason("HASHTAGS", "page", "hashtags per word above filters.gibberish.max_hashtag_fraction"),
    Reason("URLS", "page", "URLs per word above filters.gibberish.max_url_fraction"),
    Reason("SHORT_CAPTION", "caption", "fewer words than filters.caption.min_words"),
    Reason("FEW_CAPTION_CHARACTERS", "caption", "fewer characters than filters.caption.min_characters"),
    Reason("URL_TOKEN", "image", "its URL contains one of filters.image.url_tokens"),
    # fetch: the failure classes of images, see IMAGE_STATUS
    Reason("DNS", "image", "the host name does not resolve"),
    Reason("PRIVATE_ADDRESS", "image", "the URL resolves to a private or reserved network, or is not http(s)"),
    Reason("ROBOTS", "image", "robots.txt forbids it"),
    Reason("OPT_OUT", "image", "one of fetch.directives, or of extract.prefilter.directives on its page, forbids it"),
    Reason("HTTP_4XX", "image", "the server responded with a client error"),
    Reason("HTTP_429", "image", "the server responded with 'too many requests' on every try"),
    Reason("HTTP_5XX", "image", "the server responded with a server error"),
    Reason("TIMEOUT", "image", "no complete response within the recipe's time limits"),
    Reason("UNREACHABLE", "image", "the connection failed for another reason"),
    Reason("TOO_LARGE_IMAGE", "image", "more bytes than decode.max_bytes"),
    Reason("NOT_AN_IMAGE", "image", "the bytes are not in an image format"),
    Reason("UNDECODABLE", "image", "an image format, but corrupt"),
    Reason("STALLED", "image", "the decode worker got too little CPU time; the same command fetches it again"),
    Reason("TOO_SMALL", "image", "a side shorter than decode.min_side_pixels"),
    Reason("SINGLE_COLOUR", "image", "all pixels have the same colour"),
    Reason("TOO_FEW_BYTES", "image", "fewer bytes than decode.min_bytes"),
    Reason("UNWANTED_FORMAT", "image", "a format not among decode.formats"),
    Reason("TOO_LONG_SIDE", "image", "a side longer than decode.max_original_side_pixels"),
    Reason("ASPECT_RATIO", "image", "longer to shorter side above decode.max_aspect_ratio"),
    Reason("TOO_MANY_PIXELS", "image", "more pixels than decode.max_pixels"),
    # dedup
    Reason("DUPLICATE_CAPTURE", "page", "the same capture occurs elsewhere in the archives"),
    Reason("DUPLICATE_URL", "page", "a newer capture of the same URL exists"),
    Reason("DUPLICATE_TEXT", "page", "another page has the same text"),
    Reason("NEAR_DUPLICATE_TEXT", "page", "another page has nearly the same text: see dedup.minhash"),
    Reason("DUPLICATE_IMAGE_SET", "page", "a newer page has the same set of image URLs"),
    Reason("REPEATED_ON_HOST", "paragraph", "on more pages of its host than dedup.paragraphs.max_host_pages"),
    Reason("REPEATED_PARAGRAPH", "paragraph", "on more pages than dedup.paragraphs.max_pages"),
    Reason("TOO_SHORT_AFTER_DEDUP", "page", "fewer words than dedup.min_words_left after dedup removed paragraphs"),
    Reason("CONTAMINATED_TEXT", "paragraph", "shares decontaminate.ngram_words words with an evaluation item"),
    Reason("CONTAMINATED_PAGE", "page", "more than decontaminate.max_blocks of its paragraphs are contaminated"),
    Reason("CONTAMINATED_CAPTION", "caption", "a caption of the image on this page is contaminated"),
    Reason("CONTAMINATED_IMAGE", "image", "similar to an evaluation image: see decontaminate.max_image_distance"),
    Reason(
        "OVERUSED_IMAGE", "image", "the image, or its near-duplicate cluster, is on more pages than the recipe allows"
    ),
    Reason("DUPLICATE_IMAGE", "image", "another URL returned the same bytes"),
    Reason("NEAR_DUPLICATE_IMAGE", "image", "a near-duplicate of another image: see dedup.phash_distance"),
    # assemble
    Reason("UNSAFE_IMAGE", "image", "score by clip.safety above score.max_unsafe_score, or not available"),
    Reason("UNSAFE_PAGE", "page", "the page has an unsafe image, and score.unsafe_drops is page"),
    Reason("LOW_SCORE", "image", "best CLIP score with the page's text below score.min_image_score, or not available"),
    Reason("LOW_CAPTION_SCORE", "caption", "CLIP score below score.min_caption_score, or not in the best fraction"),
    Reason("TOO_MANY_CAPTIONS", "caption", "assemble.max_image_captions other captions fit the image better"),
    Reason("OVERUSED_CAPTION", "caption", "assemble.max_caption_images other images fit the caption better"),
    Reason("REPEATED_IMAGE", "image", "the image or a near-duplicate occurs earlier in the document"),
    Reason("TOO_MANY_IMAGES", "image", "more images in the document than assemble.max_images"),
    Reason("NOT_INTERSPERSED", "document", "too few images are adjacent to text"),
    Reason("FEW_IMAGES", "document", "fewer images than assemble.min_document_images"),
    Reason("MANY_IMAGES", "document", "more images than assemble.max_document_images"),
    Reason("TOO_LITTLE_TEXT", "document", "fewer words per image than assemble.min_words_per_image"),
    Reason("SINGLE_IMAGE", "document", "one image, and not sampled by assemble.single_image_keep_fraction"),
    Reason("NO_CORPUS", "page", "no image was kept, and the page is not in the text corpus"),
)

CODES = frozenset(r.code for r in REASONS)
BY_CODE = {r.code: r for r in REASONS}


RETRIED = frozenset(("ARCHIVE_FAILED", "PAGE_STALLED", "STALLED"))
"""Rejections by a failure that may pass, not by a rule: a step with such rejections is not finished."""


def for_status(status: str) -> str:
    """Return the reason code of an image status other than 'ok'."""
    return "TOO_LARGE_IMAGE" if status == "too_large" else status.upper()
