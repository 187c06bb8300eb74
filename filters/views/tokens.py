"""Cut texts into words and marks of punctuation, once; each distinct one of a batch is looked at once.

A word is a run of letters, digits and their marks, with a full stop or a comma inside (U.S, 3.5); an apostrophe begins
one (it 's), numbers are one with a slash or a colon too (1/2/2013, 10:30), and scripts without spaces count by the
character. Any other sign is a token of its own, but for a row of full stops, dashes or the like. So spaCy divides
English, near enough.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.views.view import Aids, bounds_of, shares, structure, sums
from filters.words import UNSPACED

_INSIDE = rf"[^\s\p{{Z}}\p{{P}}\p{{S}}\p{{C}}{UNSPACED}]"
_ROW = r"\.\.+|[-–—]+|=+|\*+|_+|~+"
_TOKEN = rf"[{UNSPACED}]|\+?\p{{N}}+(?:[.,/:]\p{{N}}+)+|['’]?{_INSIDE}+(?:[.,]{_INSIDE}+)*|{_ROW}|[^\s\p{{Z}}]"
_WORD = r"[\p{L}\p{N}]"

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
FEW_TOKENS = 12  # OBELICS: of a shorter text punctuation tells nothing, and it counts as punctuated throughout
LISTS = ("stop_words", "flagged_words", "common_words", "spam_words")


def tokens(batch: pa.RecordBatch, aids: Aids) -> pa.Array:
    """Return the tokens of each text: list<dictionary<string>>, the dictionary being the whole batch's."""
    spaced = pc.replace_substring_regex(batch["text"], pattern=_TOKEN, replacement=r"\0 ")
    # Trimmed, since pyarrow 26 looks beyond the end of a batch's last text for more white space.
    pieces = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(spaced))
    flat, bounds = pieces.flatten(), bounds_of(pieces)
    filled = pc.not_equal(flat, "")  # what white space at an end leaves
    ends = np.concatenate([[0], np.cumsum(sums(filled.to_numpy(zero_copy_only=False), bounds))])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat.filter(filled).dictionary_encode())


def token_counts(batch: pa.RecordBatch, aids: Aids) -> pa.Array:
    """Count tokens, and words (tokens with a letter or digit), of each kind.

    Of `LISTS` a count is there for each list that is given.
    """
    lists = batch["tokens"]
    flat, bounds = lists.flatten(), bounds_of(lists)
    codes, known = flat.indices.to_numpy(), flat.dictionary
    lower = pc.utf8_lower(known)
    is_word = pc.match_substring_regex(known, pattern=_WORD)
    punctuation = pc.and_not(pc.match_substring_regex(known, pattern=r"^\p{P}"), is_word)
    lengths = pc.utf8_length(known).to_numpy()

    def total(of_each: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return sums(of_each.to_numpy(zero_copy_only=False)[codes], bounds)

    num_tokens, num_words = np.diff(bounds), total(is_word)
    words = np.where(is_word.to_numpy(zero_copy_only=False), lengths, 0)
    stop_words = [total(pc.equal(lower, word)) > 0 for word in GOPHER_STOP_WORDS]
    given = {name: aids.words[name] for name in LISTS if name in aids.words}
    return structure(
        tokens=num_tokens,
        words=num_words,
        mean_word_length=shares(sums(words[codes], bounds), num_words),
        alphabetic=total(pc.match_substring_regex(known, pattern=r"\p{L}")),
        punctuation_fraction=np.where(num_tokens < FEW_TOKENS, 1, shares(total(punctuation), num_tokens)),
        gopher_stop_words=np.sum(stop_words, axis=0),
        **{name: total(pc.is_in(lower, pa.array(sorted(words), pa.string()))) for name, words in given.items()},
    )
