"""Every reason for which something is left out, and the table of text filters. No other code can be written."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Reason:
    code: str
    level: str
    meaning: str


@dataclass(frozen=True)
class TextFilter:
    """One bound of one measure of a text: `filters.text.KEY` for a page, `filters.paragraph.KEY` for a paragraph.

    measure: the function of filters/text.py, which is also the name in `measures`
    key:     begins with `min_` or `max_`: the least or the largest value that is kept
    code:    the reason of a page that misses the bound; `of_paragraph` gives that of a paragraph
    what:    what is measured, with its unit where it has one
    kind:    what the bound may be: a fraction, a count, a number from 0, or a positive number
    note:    what else has the same reason, for a page
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
        """Whether the bound is the least value that is kept."""
        return self.key.startswith("min_")

    def reason(self, section: Literal["text", "paragraph"]) -> Reason:
        """Return the reason of what misses the bound in a section of `filters`."""
        meaning = f"{self.what}: {'below' if self.is_minimum else 'above'} filters.{section}.{self.key}"
        if section == "text":
            return Reason(self.code, "page", meaning + self.note)
        return Reason(of_paragraph(self.code), "paragraph", meaning)


_GOPHER = '"Scaling Language Models" (Gopher), arXiv 2112.11446, appendix A.1.1'
_GOPHER_REPETITION = _GOPHER + ", table A1"
_C4 = '"Exploring the Limits of Transfer Learning" (C4), arXiv 1910.10683, section 2.2'
_C4_CODE = "C4's code (tensorflow/datasets, c4_utils.py), which goes beyond the paper"
_FINEWEB = '"The FineWeb Datasets", arXiv 2406.17557, section 3.5'
_OBELICS = "OBELICS, arXiv 2306.16527, appendix A.1.3, and its released configuration"
_OMNICORPUS = "OmniCorpus, arXiv 2406.08418: capitals and digits at most .8"
_WORDS_SOURCE = "OBELICS, arXiv 2306.16527, appendix A.1; Gopher, arXiv 2112.11446, A.1.1"
_ON_A_PAGE, _IN_A_LINE = ": none on a page", ": none in a line that stays"

# fmt: off
TEXT_FILTERS = (
    # Length. Gopher's words are counted so too: the paper does not say what a word is.
    TextFilter("num_words", "min_words", "TOO_SHORT", "words, as white space divides them", "count", _WORDS_SOURCE,
               "; or fewer than extract.prefilter.min_words"),
    TextFilter("num_words", "max_words", "TOO_LONG", "words, as white space divides them", "count", _WORDS_SOURCE),
    # Gopher's quality rules. Words are the tokens of filters/features.py: with a letter or digit where characters of
    # words are averaged, marks of punctuation too where something is counted per word, as datatrove counts them.
    # Blank lines are no lines. Capitals do not count in stop words.
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
               "different ones of Gopher's 8 stop words", "count",
               _GOPHER + ': two of "the, be, to, of, and, that, have, with"'),
    # Gopher's repetition rules: lines and paragraphs that the text has before; the most frequent 2- to 4-gram, and
    # repeated 5- to 10-grams, as a fraction of the characters.
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
    # C4 judges single lines by words (3), terminal punctuation, javascript, policy phrases and long words; whole pages
    # by sentences, curly brackets and lorem ipsum. Set the former in `filters.paragraph`, the latter in `filters.text`:
    # our unit is the paragraph, which is mostly one line.
    TextFilter("num_sentences", "min_sentences", "FEW_SENTENCES", "sentences", "count",
               _C4 + ": at least 5, of the lines that stay"),
    TextFilter("curly_brackets", "max_curly_brackets", "CURLY_BRACKETS", "opening curly brackets", "count",
               _C4 + _ON_A_PAGE),
    TextFilter("lorem_ipsum", "max_lorem_ipsum", "LOREM_IPSUM", "times of 'lorem ipsum'", "count", _C4 + _ON_A_PAGE),
    TextFilter("javascript_mentions", "max_javascript_mentions", "JAVASCRIPT", "times of 'javascript'", "count",
               _C4 + _IN_A_LINE),
    TextFilter("policy_phrases", "max_policy_phrases", "POLICY_PHRASES", "phrases as 'privacy policy', 'use cookies'",
               "count", _C4_CODE + _IN_A_LINE),
    TextFilter("very_long_words", "max_very_long_words", "VERY_LONG_WORDS", "words of more than 1,000 characters",
               "count", _C4_CODE + _IN_A_LINE),
    # FineWeb's third rule, characters in repeated lines, is one of Gopher's.
    TextFilter("punctuated_line_fraction", "min_punctuated_line_fraction", "NOT_PUNCTUATED",
               "lines that end in punctuation, perhaps within quotation marks or brackets", "fraction",
               _FINEWEB + "; with 1 in filters.paragraph the rule of C4, arXiv 1910.10683"),
    TextFilter("short_line_fraction", "max_short_line_fraction", "SHORT_LINES", "lines of 30 characters or fewer",
               "fraction", _FINEWEB),
    # OBELICS and OmniCorpus. A text of fewer than 12 tokens counts as punctuated throughout. White space is a special
    # character, as the bound was chosen for that. Lists and model are the recipe's `filters.lists`.
    TextFilter("character_repetition_fraction", "max_character_repetition_fraction", "REPEATED_CHARACTERS",
               "runs of 10 characters that are among the most repeated", "fraction", _OBELICS),
    TextFilter("word_repetition_fraction", "max_word_repetition_fraction", "REPEATED_WORDS",
               "5-grams that the text has more than once", "fraction", _OBELICS),
    TextFilter("punctuation_fraction", "min_punctuation_fraction", "LITTLE_PUNCTUATION",
               "marks of punctuation among words", "fraction", _OBELICS),
    TextFilter("special_character_fraction", "max_special_character_fraction", "SPECIAL_CHARACTERS",
               "characters that are neither letters nor marks, white space too", "fraction", _OBELICS),
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
"""The one table of text filters: recipe keys, reasons and their docs derive from it; filters/text.py measures."""


def of_paragraph(code: str) -> str:
    """Return the code of a paragraph that misses the bound whose code of a page is given."""
    return f"PARAGRAPH_{code}"


REASONS = (
    # extract: stretches of archives
    Reason("UNREADABLE", "record", "a stretch of the archive that holds no readable record"),
    Reason("NOT_AN_ARCHIVE", "record", "a file that is neither WARC, ARC nor WACZ"),
    Reason("TRUNCATED_RECORD", "record", "a record that ends before its declared length"),
    Reason("BAD_HTTP", "record", "a response whose HTTP headers or body encoding cannot be decoded"),
    Reason("NOT_HTML", "record", "a response that is no HTML page, by its type or else by its bytes"),
    Reason("NO_URL", "record", "a response without an address (WARC-Target-URI)"),
    Reason("NO_RESPONSE", "record", "an archive without any response: WET, WAT, or revisits alone"),
    # extract: pages
    Reason("BINARY_BODY", "page", "a body that is declared HTML, and is no text once its codings are undone"),
    Reason("TOO_LARGE", "page", "an HTML body above extract.max_page_bytes"),
    Reason("NOT_PARSEABLE", "page", "an HTML body from which no tree could be built"),
    Reason("EXTRACTION_FAILED", "page", "a page on which extraction raised, or its process died"),
    Reason("PAGE_TIMEOUT", "page", "a page that took more processor time than extract.max_seconds"),
    Reason("PAGE_STALLED", "page", "a page that got too little processor time; the same command tries it again"),
    Reason("PAGE_MEMORY", "page", "a page that needed more than extract.max_memory_bytes"),
    Reason("HTTP_STATUS", "page", "an archived answer other than 200: no page, but a word about one"),
    # extract: gates; WRONG_LANGUAGE and TOO_SHORT, below, are theirs too
    Reason("BLOCKED_HOST", "page", "the page's host or address is on extract.prefilter.blocklist"),
    Reason("PAGE_OPT_OUT", "page", "the page's headers or meta elements hold one of extract.prefilter.directives"),
    Reason("NO_IMAGE", "page", "a page without any image, where extract.prefilter.require_image wants one"),
    # extract: captions
    Reason("FILE_NAME_CAPTION", "caption", "the text of an image is the name of a file"),
    Reason("BOILERPLATE_CAPTION", "caption", "the text of an image is a stock phrase, an address, a number or a sign"),
    # filter
    Reason("WRONG_LANGUAGE", "page", "not in extract.prefilter.languages, or not among filters.language.keep"),
    Reason("LOW_LANGUAGE_SCORE", "page", "language score below filters.language.min_score"),
    *(f.reason("text") for f in TEXT_FILTERS),
    *(f.reason("paragraph") for f in TEXT_FILTERS),
    Reason("EMOJI", "page", "emoji per word above filters.gibberish.max_emoji_fraction"),
    Reason("HASHTAGS", "page", "hashtags per word above filters.gibberish.max_hashtag_fraction"),
    Reason("URLS", "page", "addresses per word above filters.gibberish.max_url_fraction"),
    Reason("SHORT_CAPTION", "caption", "fewer words than filters.caption.min_words"),
    Reason("FEW_CAPTION_CHARACTERS", "caption", "fewer characters than filters.caption.min_characters"),
    Reason("URL_TOKEN", "image", "its address holds one of filters.image.url_tokens"),
    # fetch: the failure classes of images, see IMAGE_STATUS
    Reason("DNS", "image", "the host name does not resolve"),
    Reason("PRIVATE_ADDRESS", "image", "the address leads to a network that is off limits, or is no http address"),
    Reason("ROBOTS", "image", "robots.txt forbids it"),
    Reason("OPT_OUT", "image", "one of fetch.directives, or of extract.prefilter.directives on its page, forbids it"),
    Reason("HTTP_4XX", "image", "the server answered with a client error"),
    Reason("HTTP_429", "image", "the server answered that we ask too often, until the last try"),
    Reason("HTTP_5XX", "image", "the server answered with a server error"),
    Reason("TIMEOUT", "image", "no whole answer in the time that the recipe gives"),
    Reason("UNREACHABLE", "image", "the connection failed otherwise"),
    Reason("TOO_LARGE_IMAGE", "image", "more bytes than decode.max_bytes"),
    Reason("NOT_AN_IMAGE", "image", "the bytes are of no image format"),
    Reason("UNDECODABLE", "image", "an image format, but broken"),
    Reason("STALLED", "image", "its decoder got too little processor time; the same command asks for it again"),
    Reason("TOO_SMALL", "image", "a side shorter than decode.min_side_pixels"),
    Reason("SINGLE_COLOUR", "image", "every pixel has one colour"),
    Reason("TOO_FEW_BYTES", "image", "fewer bytes than decode.min_bytes"),
    Reason("UNWANTED_FORMAT", "image", "a format that is not among decode.formats"),
    Reason("TOO_LONG_SIDE", "image", "a side longer than decode.max_original_side_pixels"),
    Reason("ASPECT_RATIO", "image", "longer to shorter side above decode.max_aspect_ratio"),
    Reason("TOO_MANY_PIXELS", "image", "more pixels than decode.max_pixels"),
    # dedup
    Reason("DUPLICATE_CAPTURE", "page", "the same capture stands in another place of the archives"),
    Reason("DUPLICATE_URL", "page", "a newer capture of the same address exists"),
    Reason("DUPLICATE_TEXT", "page", "another page has the same text"),
    Reason("NEAR_DUPLICATE_TEXT", "page", "another page has nearly the same text: see dedup.minhash"),
    Reason("DUPLICATE_IMAGE_SET", "page", "a newer page has the same set of image addresses"),
    Reason("REPEATED_ON_HOST", "paragraph", "it stands on more pages of its host than dedup.paragraphs.max_host_pages"),
    Reason("REPEATED_PARAGRAPH", "paragraph", "it stands on more pages than dedup.paragraphs.max_pages"),
    Reason(
        "TOO_SHORT_AFTER_DEDUP",
        "page",
        "fewer words than dedup.min_words_left, once paragraphs that dedup took are gone",
    ),
    Reason("CONTAMINATED_TEXT", "paragraph", "it shares decontaminate.ngram_words words with an evaluation item"),
    Reason("CONTAMINATED_PAGE", "page", "more than decontaminate.max_blocks of its paragraphs share such words"),
    Reason("CONTAMINATED_CAPTION", "caption", "a caption of the image on this page shares such words"),
    Reason("CONTAMINATED_IMAGE", "image", "it looks like an evaluation image: see decontaminate.max_image_distance"),
    Reason(
        "OVERUSED_IMAGE", "image", "it, or its cluster of near-duplicates, stands on more pages than the recipe lets it"
    ),
    Reason("DUPLICATE_IMAGE", "image", "another address gave the same bytes"),
    Reason("NEAR_DUPLICATE_IMAGE", "image", "another image looks the same: see dedup.phash_distance"),
    # assemble
    Reason("UNSAFE_IMAGE", "image", "score by clip.safety above score.max_unsafe_score, or none could be told"),
    Reason("UNSAFE_PAGE", "page", "the page holds an unsafe image, and score.unsafe_drops is page"),
    Reason("LOW_SCORE", "image", "best CLIP score with the page's text below score.min_image_score, or none there"),
    Reason("LOW_CAPTION_SCORE", "caption", "CLIP score below score.min_caption_score, or not in the best fraction"),
    Reason("TOO_MANY_CAPTIONS", "caption", "as many captions as assemble.max_image_captions fit the image better"),
    Reason("OVERUSED_CAPTION", "caption", "as many images as assemble.max_caption_images fit the caption better"),
    Reason("REPEATED_IMAGE", "image", "the image, or one that looks the same, stands earlier in the same document"),
    Reason("TOO_MANY_IMAGES", "image", "beyond assemble.max_images of one document"),
    Reason("NOT_INTERSPERSED", "document", "too few images stand beside text"),
    Reason("FEW_IMAGES", "document", "fewer images than assemble.min_document_images"),
    Reason("MANY_IMAGES", "document", "more images than assemble.max_document_images"),
    Reason("TOO_LITTLE_TEXT", "document", "fewer words for each image than assemble.min_words_per_image"),
    Reason("SINGLE_IMAGE", "document", "one image, and the document's coin fell on the dropped side"),
    Reason("NO_CORPUS", "page", "no image stayed and the text corpus does not want the page"),
)

CODES = frozenset(r.code for r in REASONS)
BY_CODE = {r.code: r for r in REASONS}


STALLED = frozenset(("PAGE_STALLED", "STALLED"))
"""What the load of a machine took, not a rule: a step that has such rejections is not finished."""


def for_status(status: str) -> str:
    """Return the reason code of an image status other than 'ok'."""
    return "TOO_LARGE_IMAGE" if status == "too_large" else status.upper()
