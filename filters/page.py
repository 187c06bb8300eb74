"""Page filters: languages, and indicators of gibberish and spam."""

import pyarrow as pa
import pyarrow.compute as pc

from filters.filter import Decision, Filter, Threshold, threshold_filter
from filters.words import count, per
from schemas.recipe import Recipe


def _apply(batch: pa.RecordBatch, recipe: Recipe) -> Decision:
    keep, bound = recipe.filters.language.keep, recipe.filters.language.min_score
    scores = batch["language_score"].cast(pa.float64())
    reason = pc.if_else(pc.less(scores, bound), "LOW_LANGUAGE_SCORE", pa.scalar(None, pa.string()))
    if keep:
        is_kept = pc.is_in(batch["language"], pa.array(keep, pa.string()))
        reason = pc.if_else(is_kept, reason, "WRONG_LANGUAGE")
    return Decision(scores, reason, {"LOW_LANGUAGE_SCORE": bound})


def _on(recipe: Recipe) -> bool:
    return bool(recipe.filters.language.keep) or recipe.filters.language.min_score > 0


FILTER = Filter(
    name="language",
    reads=("language", "language_score"),
    measure="language_score",
    reasons=("WRONG_LANGUAGE", "LOW_LANGUAGE_SCORE"),
    source='"Language Is Not All You Need", arXiv 2302.14045, section 3.1: English pages; OBELICS: score at least 0.8',
    apply=_apply,
    on=_on,
)
"""Reject by language.

Reads:   language string (ISO 639), language_score float32 [0 to 1].
Writes:  language_score.
Rejects: WRONG_LANGUAGE when filters.language.keep is not empty and lacks the language;
         LOW_LANGUAGE_SCORE when the score is below filters.language.min_score.
"""


SOURCE = (
    '"Language Is Not All You Need", arXiv 2302.14045, section 3.1: low-quality text is discarded by the proportion '
    "of emoji, hashtags and URL links; the paper gives no thresholds"
)

# Pictographs, flags, dingbats and older symbols rendered as emoji (Unicode Technical Standard 51).
_EMOJI = r"[\x{1F300}-\x{1FAFF}\x{1F1E6}-\x{1F1FF}\x{2600}-\x{27BF}\x{2B50}\x{2B55}]"
_HASHTAG = r"(?:^|[\s\p{Z}])[#\x{FF03}][\p{L}\p{N}_]*[\p{L}_]"
_URL = r"(?i)(?:https?://|www\.)[^\s\p{Z}]"


def _per_word(name: str, measure: str, code: str, pattern: str) -> Filter:
    bound = Threshold(f"filters.gibberish.max_{measure}", code)
    return threshold_filter(
        name,
        ("text", "num_words"),
        measure,
        (bound,),
        SOURCE,
        lambda batch: per(count(batch["text"], pattern), batch["num_words"]),
    )


EMOJI = _per_word("emoji", "emoji_fraction", "EMOJI", _EMOJI)
"""Reject text with many emoji: EMOJI when emoji per word > filters.gibberish.max_emoji_fraction."""

HASHTAGS = _per_word("hashtags", "hashtag_fraction", "HASHTAGS", _HASHTAG)
"""Reject text with many hashtags (# and a word, not a bare number): HASHTAGS when above max_hashtag_fraction."""

URLS = _per_word("urls", "url_fraction", "URLS", _URL)
"""Reject text with many URLs (http, https or www.): URLS when above max_url_fraction."""
