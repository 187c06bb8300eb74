"""Kosmos-1's signs of gibberish and spam: emoji, hashtags and addresses, each per word."""

from filters.bounds import Bound, bounded
from filters.verdict import Filter
from filters.words import count, per

SOURCE = (
    '"Language Is Not All You Need", arXiv 2302.14045, section 3.1: low-quality text is discarded by the proportion '
    "of emoji, hashtags and URL links; the paper gives no bounds"
)

# Pictographs, flags, dingbats and the older symbols that are drawn as emoji (Unicode Technical Standard 51).
_EMOJI = r"[\x{1F300}-\x{1FAFF}\x{1F1E6}-\x{1F1FF}\x{2600}-\x{27BF}\x{2B50}\x{2B55}]"
_HASHTAG = r"(?:^|[\s\p{Z}])[#\x{FF03}][\p{L}\p{N}_]*[\p{L}_]"
_URL = r"(?i)(?:https?://|www\.)[^\s\p{Z}]"


def _per_word(name: str, measure: str, code: str, pattern: str) -> Filter:
    bound = Bound(f"filters.gibberish.max_{measure}", code)
    return bounded(
        name,
        ("text", "num_words"),
        measure,
        (bound,),
        SOURCE,
        lambda batch: per(count(batch["text"], pattern), batch["num_words"]),
    )


EMOJI = _per_word("emoji", "emoji_fraction", "EMOJI", _EMOJI)
"""Reject text full of emoji: EMOJI when emoji per word > filters.gibberish.max_emoji_fraction."""

HASHTAGS = _per_word("hashtags", "hashtag_fraction", "HASHTAGS", _HASHTAG)
"""Reject text full of hashtags (# and a word, not a bare number): HASHTAGS when above max_hashtag_fraction."""

URLS = _per_word("urls", "url_fraction", "URLS", _URL)
"""Reject text full of addresses (http, https or www.): URLS when above max_url_fraction."""
