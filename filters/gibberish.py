"""Kosmos-1's signs of gibberish and spam: emoji, hashtags and addresses, each per word."""

import pyarrow as pa

from filters.verdict import Filter, Verdict, above
from filters.words import per_word
from schemas.recipe import Recipe

SOURCE = (
    '"Language Is Not All You Need", arXiv 2302.14045, section 3.1: low-quality text is discarded by the proportion '
    "of emoji, hashtags and URL links; the paper gives no bounds"
)

# Pictographs, flags, dingbats and the older symbols that are drawn as emoji (Unicode Technical Standard 51).
_EMOJI = r"[\x{1F300}-\x{1FAFF}\x{1F1E6}-\x{1F1FF}\x{2600}-\x{27BF}\x{2B50}\x{2B55}]"
_HASHTAG = r"(?:^|[\s\p{Z}])[#\x{FF03}][\p{L}\p{N}_]*[\p{L}_]"
_URL = r"(?i)(?:https?://|www\.)[^\s\p{Z}]"


def _judge_emoji(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
    return above(per_word(batch["text"], _EMOJI), recipe.filters.gibberish.max_emoji_fraction, "EMOJI")


def _judge_hashtags(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
    return above(per_word(batch["text"], _HASHTAG), recipe.filters.gibberish.max_hashtag_fraction, "HASHTAGS")


def _judge_urls(batch: pa.RecordBatch, recipe: Recipe) -> Verdict:
    return above(per_word(batch["text"], _URL), recipe.filters.gibberish.max_url_fraction, "URLS")


EMOJI = Filter("emoji", ("text",), "emoji_fraction", ("EMOJI",), SOURCE, _judge_emoji)
"""Reject text full of emoji: EMOJI when emoji per word > filters.gibberish.max_emoji_fraction."""

HASHTAGS = Filter("hashtags", ("text",), "hashtag_fraction", ("HASHTAGS",), SOURCE, _judge_hashtags)
"""Reject text full of hashtags (# and a word, not a bare number): HASHTAGS when above max_hashtag_fraction."""

URLS = Filter("urls", ("text",), "url_fraction", ("URLS",), SOURCE, _judge_urls)
"""Reject text full of addresses (http, https or www.): URLS when above max_url_fraction."""
