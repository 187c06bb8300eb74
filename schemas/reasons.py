"""Every reason for which something is left behind. A code that is not here cannot be written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    code: str
    level: str
    meaning: str


_PARAGRAPH = "PARAGRAPH_"


def of_paragraph(code: str) -> str:
    """Return the code of a paragraph that misses the bound by which a page's code is told."""
    return _PARAGRAPH + code


# filter: texts. Pages are judged by filters.text; paragraphs alike, by filters.paragraph
OF_TEXT = (
    Reason("TOO_SHORT", "page", "fewer words than filters.text.min_words; of pages, than extract.gates.min_words too"),
    Reason("TOO_LONG", "page", "more words than filters.text.max_words"),
    Reason("SHORT_WORDS", "page", "mean word length below filters.text.min_mean_word_characters"),
    Reason("LONG_WORDS", "page", "mean word length above filters.text.max_mean_word_characters"),
    Reason("HASHES", "page", "# signs per word above filters.text.max_hashes_per_word"),
    Reason("ELLIPSES", "page", "ellipses per word above filters.text.max_ellipses_per_word"),
    Reason("BULLETS", "page", "lines that begin with a bullet above filters.text.max_bullet_line_fraction"),
    Reason("CUT_LINES", "page", "lines that end in an ellipsis above filters.text.max_ellipsis_line_fraction"),
    Reason("NOT_ALPHABETIC", "page", "words with a letter below filters.text.min_alphabetic_word_fraction"),
    Reason(
        "FEW_DIFFERENT_STOP_WORDS", "page", "of Gopher's 8 stop words fewer than filters.text.min_gopher_stop_words"
    ),
    Reason("DUPLICATE_LINES", "page", "repeated lines above filters.text.max_duplicate_line_fraction"),
    Reason(
        "DUPLICATE_LINE_CHARACTERS",
        "page",
        "characters in repeated lines above filters.text.max_duplicate_line_character_fraction",
    ),
    Reason("DUPLICATE_PARAGRAPHS", "page", "repeated paragraphs above filters.text.max_duplicate_paragraph_fraction"),
    Reason(
        "DUPLICATE_PARAGRAPH_CHARACTERS",
        "page",
        "characters in repeated paragraphs above filters.text.max_duplicate_paragraph_character_fraction",
    ),
    *(
        Reason(
            f"TOP_{n}_GRAM",
            "page",
            f"characters in the most frequent {n}-gram above filters.text.max_top_{n}_gram_fraction",
        )
        for n in (2, 3, 4)
    ),
    *(
        Reason(
            f"DUPLICATE_{n}_GRAMS",
            "page",
            f"characters in repeated {n}-grams above filters.text.max_duplicate_{n}_gram_fraction",
        )
        for n in (5, 6, 7, 8, 9, 10)
    ),
    Reason("FEW_SENTENCES", "page", "fewer sentences than filters.text.min_sentences"),
    Reason("CURLY_BRACKETS", "page", "more curly brackets than filters.text.max_curly_brackets"),
    Reason("LOREM_IPSUM", "page", "'lorem ipsum' more often than filters.text.max_lorem_ipsum"),
    Reason("JAVASCRIPT", "page", "'javascript' more often than filters.text.max_javascript_mentions"),
    Reason("POLICY_PHRASES", "page", "phrases of notices more often than filters.text.max_policy_phrases"),
    Reason("ENDLESS_WORDS", "page", "words of more than 1,000 characters above filters.text.max_endless_words"),
    Reason("NOT_PUNCTUATED", "page", "lines that end in punctuation below filters.text.min_punctuated_line_fraction"),
    Reason("SHORT_LINES", "page", "short lines above filters.text.max_short_line_fraction"),
    Reason("REPEATED_CHARACTERS", "page", "repeated characters above filters.text.max_character_repetition_fraction"),
    Reason("REPEATED_WORDS", "page", "repeated words above filters.text.max_word_repetition_fraction"),
    Reason("LITTLE_PUNCTUATION", "page", "punctuation below filters.text.min_punctuation_fraction"),
    Reason("SPECIAL_CHARACTERS", "page", "characters but letters above filters.text.max_special_character_fraction"),
    Reason("UPPER_CASE", "page", "capitals above filters.text.max_upper_case_fraction"),
    Reason("DIGITS", "page", "digits above filters.text.max_digit_fraction"),
    Reason("FEW_STOP_WORDS", "page", "words of filters.lists.stop_words below filters.text.min_stop_word_fraction"),
    Reason("FEW_COMMON_WORDS", "page", "words of a list of common ones below filters.text.min_common_word_fraction"),
    Reason("FLAGGED_WORDS", "page", "words of a list of flagged ones above filters.text.max_flagged_word_fraction"),
    Reason("SPAM_WORDS", "page", "words of a list of spam above filters.text.max_spam_word_fraction"),
    Reason("PERPLEXITY", "page", "perplexity above filters.text.max_perplexity"),
)

REASONS = (
    # extract: stretches of archives
    Reason("UNREADABLE", "record", "a stretch of the archive that holds no readable record"),
    Reason("NOT_AN_ARCHIVE", "record", "a file that is neither WARC, ARC nor WACZ"),
    Reason("TRUNCATED_RECORD", "record", "a record that ends before its declared length"),
    Reason("BAD_HTTP", "record", "a response whose HTTP headers or body encoding cannot be decoded"),
    Reason("NOT_HTML", "record", "a response that is no HTML page, by its type or else by its bytes"),
    Reason("NO_ADDRESS", "record", "a response without an address (WARC-Target-URI)"),
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
    Reason("BLOCKED_HOST", "page", "the page's host or address is on extract.gates.blocklist"),
    Reason("PAGE_DIRECTIVE", "page", "the page's headers or meta elements hold one of extract.gates.directives"),
    Reason("NO_IMAGE", "page", "a page without any image, where extract.gates.need_image wants one"),
    # extract: captions
    Reason("FILE_NAME_CAPTION", "caption", "the text of an image is the name of a file"),
    Reason("BOILERPLATE_CAPTION", "caption", "the text of an image is a stock phrase, an address, a number or a sign"),
    # filter
    Reason("WRONG_LANGUAGE", "page", "not in extract.gates.languages, or not among filters.language.keep"),
    Reason("LANGUAGE_UNSURE", "page", "language score below filters.language.min_score"),
    *OF_TEXT,
    *(
        Reason(of_paragraph(r.code), "paragraph", r.meaning.replace("filters.text", "filters.paragraph"))
        for r in OF_TEXT
    ),
    Reason("EMOJI", "page", "emoji per word above filters.gibberish.max_emoji_fraction"),
    Reason("HASHTAGS", "page", "hashtags per word above filters.gibberish.max_hashtag_fraction"),
    Reason("URLS", "page", "addresses per word above filters.gibberish.max_url_fraction"),
    Reason("SHORT_CAPTION", "caption", "fewer words than filters.caption.min_words"),
    Reason("FEW_CAPTION_CHARACTERS", "caption", "fewer characters than filters.caption.min_characters"),
    Reason("URL_TOKEN", "image", "its address holds one of filters.image.url_tokens"),
    # fetch: the failure classes of images, see IMAGE_STATUS
    Reason("DNS", "image", "the host name does not resolve"),
    Reason("REFUSED_ADDRESS", "image", "the address leads to a network that is off limits, or is no http address"),
    Reason("ROBOTS", "image", "robots.txt forbids it"),
    Reason("DIRECTIVE", "image", "one of fetch.directives, or of extract.gates.directives on its page, forbids it"),
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
    Reason("ASPECT", "image", "longer to shorter side above decode.max_aspect"),
    Reason("TOO_MANY_PIXELS", "image", "more pixels than decode.max_pixels"),
    # dedup
    Reason("DUPLICATE_CAPTURE", "page", "the same capture stands in another place of the archives"),
    Reason("DUPLICATE_URL", "page", "a newer capture of the same address exists"),
    Reason("DUPLICATE_TEXT", "page", "another page has the same text"),
    Reason("NEAR_DUPLICATE_TEXT", "page", "another page has nearly the same text: see dedup.near_text"),
    Reason("DUPLICATE_IMAGE_SET", "page", "a newer page has the same set of image addresses"),
    Reason("REPEATED_ON_HOST", "paragraph", "it stands on more pages of its host than dedup.paragraphs.max_host_pages"),
    Reason("REPEATED_PARAGRAPH", "paragraph", "it stands on more pages than dedup.paragraphs.max_pages"),
    Reason("LITTLE_LEFT", "page", "fewer words than dedup.min_words_left, once paragraphs that dedup took are gone"),
    Reason("CONTAMINATED_TEXT", "paragraph", "it shares decontaminate.ngram_words words with an evaluation item"),
    Reason("CONTAMINATED_PAGE", "page", "more than decontaminate.max_blocks of its paragraphs share such words"),
    Reason("CONTAMINATED_CAPTION", "caption", "a caption of the image on this page shares such words"),
    Reason("CONTAMINATED_IMAGE", "image", "it looks like an evaluation image: see decontaminate.max_image_distance"),
    Reason(
        "OVERUSED_IMAGE", "image", "it, or its cluster of look-alikes, stands on more pages than the recipe lets it"
    ),
    Reason("DUPLICATE_IMAGE", "image", "another address gave the same bytes"),
    Reason("LOOKALIKE_IMAGE", "image", "another image looks the same: see dedup.image_distance"),
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
    Reason("LITTLE_TEXT", "document", "fewer words for each image than assemble.min_words_per_image"),
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
