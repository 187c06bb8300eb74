"""Count things in texts, whole batches at a time."""

import pyarrow as pa
import pyarrow.compute as pc

# A run of anything but white space, by Unicode. Scripts that are written without spaces count by the character.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = rf"[{UNSPACED}]|[^\s\p{{Z}}{UNSPACED}]+"


def count(texts: pa.Array, pattern: str) -> pa.Array:
    """Count a pattern's matches in each text (RE2 syntax): n strings to n int32."""
    return pc.count_substring_regex(texts, pattern=pattern)


def per(counts: pa.Array, wholes: pa.Array) -> pa.Array:
    """Divide counts by what they are counted in: n numbers and n numbers to n float64; 0 where the whole is 0."""
    return pc.divide(counts.cast(pa.float64()), pc.max_element_wise(wholes, 1).cast(pa.float64()))
