"""Every reason for which something is left behind. A code that is not here cannot be written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    code: str
    level: str
    meaning: str


REASONS = (
    # extract: stretches of archives
    Reason("UNREADABLE", "record", "a stretch of the archive that holds no readable record"),
    Reason("NOT_AN_ARCHIVE", "record", "a file that is neither WARC, ARC nor WACZ"),
    Reason("TRUNCATED_RECORD", "record", "a record that ends before its declared length"),
    Reason("BAD_HTTP", "record", "a response whose HTTP headers or body encoding cannot be decoded"),
    # extract: pages
    Reason("TOO_LARGE", "page", "an HTML body above extract.max_page_bytes"),
    Reason("NOT_PARSEABLE", "page", "an HTML body from which no tree could be built"),
    Reason("EXTRACTION_FAILED", "page", "a page on which extraction raised, or its process died"),
    Reason("PAGE_TIMEOUT", "page", "a page that took longer than extract.max_seconds"),
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
    Reason("TOO_SHORT", "page", "fewer words than filters.text.min_words, or extract.gates.min_words"),
    Reason("EMOJI", "page", "emoji per word above filters.gibberish.max_emoji_fraction"),
    Reason("HASHTAGS", "page", "hashtags per word above filters.gibberish.max_hashtag_fraction"),
    Reason("URLS", "page", "addresses per word above filters.gibberish.max_url_fraction"),
    Reason("SHORT_CAPTION", "caption", "fewer words than filters.caption.min_words"),
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
    Reason("TOO_SMALL", "image", "a side shorter than decode.min_side_pixels"),
    Reason("SINGLE_COLOUR", "image", "every pixel has one colour"),
    Reason("ASPECT", "image", "longer to shorter side above decode.max_aspect"),
    Reason("TOO_MANY_PIXELS", "image", "more pixels than decode.max_pixels"),
    # dedup
    Reason("DUPLICATE_CAPTURE", "page", "the same capture stands in another place of the archives"),
    Reason("DUPLICATE_URL", "page", "a newer capture of the same address exists"),
    Reason("DUPLICATE_TEXT", "page", "another page has the same text"),
    Reason(
        "OVERUSED_IMAGE", "image", "it, or its cluster of look-alikes, stands on more pages than the recipe lets it"
    ),
    Reason("DUPLICATE_IMAGE", "image", "another address gave the same bytes"),
    Reason("LOOKALIKE_IMAGE", "image", "another image looks the same: see dedup.image_distance"),
    # assemble
    Reason("LOW_SCORE", "image", "best CLIP score with the page's text below score.min_image_score"),
    Reason("LOW_CAPTION_SCORE", "caption", "CLIP score below score.min_caption_score"),
    Reason("REPEATED_IMAGE", "image", "the image stands earlier in the same document"),
    Reason("TOO_MANY_IMAGES", "image", "beyond assemble.max_images of one document"),
    Reason("NOT_INTERSPERSED", "document", "too few images stand beside text"),
    Reason("SINGLE_IMAGE", "document", "one image, and the document's coin fell on the dropped side"),
    Reason("NO_CORPUS", "page", "no image stayed and the text corpus does not want the page"),
)

CODES = frozenset(r.code for r in REASONS)


def for_status(status: str) -> str:
    """Return the reason code of an image status other than 'ok'."""
    return "TOO_LARGE_IMAGE" if status == "too_large" else status.upper()
