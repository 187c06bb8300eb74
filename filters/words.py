"""Count things in texts, whole batches at a time."""

import pyarrow as pa
import pyarrow.compute as pc

# A run of anything but white space, by Unicode. Scripts that are written without spaces count by the character.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = rf"[{_UNSPACED}]|[^\s\p{{Z}}{_UNSPACED}]+"


def count(texts: pa.Array, pattern: str) -> pa.Array:
    """Count a pattern's matches in each text (RE2 syntax): n strings to n int32."""
    return pc.count_substring_regex(texts, pattern=pattern)


def per_word(texts: pa.Array, pattern: str) -> pa.Array:
    """Divide a pattern's matches by the words of each text: n strings to n float64; 0 where a text has no word."""
    words = pc.max_element_wise(count(texts, WORD), 1)
    return pc.divide(count(texts, pattern).cast(pa.float64()), words.cast(pa.float64()))
