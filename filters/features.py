"""Features: columns computed once per batch and shared by all filters that read them."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.filter import Filter
from filters.words import UNSPACED, WORD, count
from schemas.errors import SchemaError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Resources:
    """Word lists and models for features, loaded by the caller.

    words:      lists of lower-case words, by their key in the recipe's filters.lists
    perplexity: maps n texts to n float64, by a language model; None if the recipe has none
    """

    words: Mapping[str, frozenset[str]] = field(default_factory=dict)
    perplexity: Callable[[pa.Array], pa.Array] | None = None


@dataclass(frozen=True)
class Feature:
    """A feature: its name, the columns it reads (of the batch, or earlier features), and its function."""

    name: str
    reads: tuple[str, ...]
    make: Callable[[pa.RecordBatch, Resources], pa.Array]


def part(batch: pa.RecordBatch, feature: str, name: str) -> pa.Array:
    """Return one field of a struct feature, as float64."""
    return batch[feature].field(name).cast(pa.float64())


def structure(**fields: npt.NDArray[np.generic]) -> pa.StructArray:
    """Make a struct feature from n numbers per field."""
    return pa.StructArray.from_arrays([pa.array(values) for values in fields.values()], list(fields))


def bounds_of(lists: pa.ListArray) -> Ints:
    """Return the offsets of n lists in their flattened values, n + 1 numbers from 0."""
    offsets = lists.offsets.to_numpy().astype(np.int64)
    bounds: Ints = offsets - offsets[0]
    return bounds


def sums(values: npt.NDArray[np.generic], bounds: Ints) -> Ints:
    """Sum the values of each list; 0 for an empty list."""
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:], dtype=np.int64)
    of_lists: Ints = total[bounds[1:]] - total[bounds[:-1]]
    return of_lists


def fractions(counts: Ints, totals: Ints) -> npt.NDArray[np.float64]:
    """Divide counts by totals; 0 where the total is 0."""
    quotients: npt.NDArray[np.float64] = counts / np.maximum(totals, 1)
    return quotients


NGRAM_CHARACTERS = 10  # the length of OBELICS' character n-grams
_LETTER, _UPPER, _DIGIT = 1, 2, 4
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplication by it loses no bit


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """Return the class flags of each code point; marks count as letters, and so do capitals."""
    kinds = {"Lu": _LETTER | _UPPER, "Lt": _LETTER | _UPPER, "Nd": _DIGIT}
    kinds |= dict.fromkeys(("Ll", "Lm", "Lo", "Mn", "Mc", "Me"), _LETTER)
    return np.array([kinds.get(unicodedata.category(chr(point)), 0) for point in range(0x110000)], np.uint8)


def _points(texts: pa.Array) -> tuple[npt.NDArray[np.uint32], Ints]:
    """Return the concatenated code points of all texts, and the offsets of the texts."""
    joined = "".join(texts.to_pylist()).encode("utf-32-le", "surrogatepass")
    lengths = pc.utf8_length(texts).to_numpy().astype(np.int64)
    return np.frombuffer(joined, np.uint32), np.concatenate([[0], np.cumsum(lengths)])


def character_fractions(batch: pa.RecordBatch, resources: Resources) -> pa.Array:
    """Return fractions of a text's characters: non-letters including white space; capitals; digits."""
    points, bounds = _points(batch["text"])
    kinds, lengths = _kinds()[points], np.diff(bounds)
    return structure(
        special=fractions(sums((kinds & _LETTER) == 0, bounds), lengths),
        upper=fractions(sums((kinds & _UPPER) > 0, bounds), lengths),
        digits=fractions(sums((kinds & _DIGIT) > 0, bounds), lengths),
    )


def character_repetition(batch: pa.RecordBatch, resources: Resources) -> pa.Array:
    """Return the fraction of a text's character n-grams that are among its most frequent repeated ones.

    Counts the sqrt(U) most frequent of U distinct n-grams, if they occur more than once. The limit compensates for
    chance repetition in long texts.
    """
    points, bounds = _points(batch["text"])
    num_texts = len(bounds) - 1
    num_runs = np.maximum(np.diff(bounds) - NGRAM_CHARACTERS + 1, 0)
    owners = np.repeat(np.arange(num_texts), num_runs)
    starts = np.arange(len(owners)) - np.repeat(np.cumsum(num_runs) - num_runs, num_runs) + bounds[owners]
    hashes = np.zeros(len(owners), np.uint64)
    for offset in range(NGRAM_CHARACTERS):
        hashes = (hashes ^ points[starts + offset]) * _FACTOR
        hashes ^= hashes >> np.uint64(29)
    # The upper bits hold the text's number, so that sorting groups by text. With a thousand texts 54 bits remain:
    # n-grams of a text of 2,000 characters collide in one of 10^10 texts.
    bits = num_texts.bit_length()
    runs = np.sort((owners.astype(np.uint64) << np.uint64(64 - bits)) | (hashes >> np.uint64(bits)))
    first = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]])[: len(runs)])
    counts, texts = np.diff(first, append=len(runs)), owners[first]  # owners ascend, as the runs do
    num_distinct = np.bincount(texts, minlength=num_texts)
    again = counts > 1
    texts, counts = texts[again], counts[again]
    order = np.lexsort((-counts, texts))
    texts, counts = texts[order], counts[order]
    num_again = np.bincount(texts, minlength=num_texts)
    rank = np.arange(len(texts)) - np.repeat(np.cumsum(num_again) - num_again, num_again)
    frequent = rank < np.floor(np.sqrt(num_distinct)).astype(np.int64)[texts]
    counted = np.bincount(texts[frequent], weights=counts[frequent], minlength=num_texts).astype(np.int64)
    return pa.array(fractions(counted, num_runs))


TOP = (2, 3, 4)
REPEATED = 5  # OBELICS
DUPLICATE = (5, 6, 7, 8, 9, 10)


def gram_fractions(batch: pa.RecordBatch, resources: Resources) -> pa.Array:
    """Return n-gram repetition as fractions of a text's characters (top_N, duplicate_N) or n-grams (repeated_N).

    repeated_N: occurrences of all repeated N-grams.
    top_N: the most frequent N-gram, with a space between words, the first of equally frequent ones; 0 without repeats.
    duplicate_N: repeated N-grams; after one the scan skips its words, so overlapping ones do not count twice.
    """
    lists = batch["tokens"]
    flat, bounds = lists.flatten(), bounds_of(lists)
    num_words = np.diff(bounds)
    words = flat.indices.to_numpy().astype(np.int64)
    lengths = np.concatenate([[0], np.cumsum(pc.utf8_length(flat.dictionary).to_numpy()[words], dtype=np.int64)])
    owners = np.repeat(np.arange(len(lists)), num_words)
    characters = pc.utf8_length(batch["text"]).to_numpy().astype(np.int64)
    found = {}
    starts, ids = np.arange(len(words)), owners * len(flat.dictionary) + words
    for n in range(2, max(DUPLICATE) + 1):
        starts, ids = _longer(starts, ids, n, words, bounds[owners + 1])
        sizes = lengths[starts + n] - lengths[starts]
        if n == REPEATED:
            occurrences = np.bincount(owners[starts], minlength=len(lists))
            found[f"repeated_{n}"] = fractions(occurrences, num_words - n + 1)
        if n in TOP:
            found[f"top_{n}"] = fractions(_top(owners[starts], ids, sizes + n - 1, len(lists)), characters)
        if n in DUPLICATE:
            repeated = sizes * _greedy(starts, ids, n)
            found[f"duplicate_{n}"] = fractions(sums_by(owners[starts], repeated, len(lists)), characters)
    return structure(**found)


def _longer(starts: Ints, ids: Ints, n: int, words: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Extend repeated (n - 1)-grams by a word; return the starts and ids of n-grams repeated within their text.

    An id identifies an n-gram of one text among all texts.
    """
    within = starts + n <= ends[starts]
    starts, ids = starts[within], ids[within]
    # ids and words are below the number of a batch's words (times its rows), so nothing overflows
    keys = ids * (words.max(initial=0) + 1) + words[starts + n - 1]
    renamed = pa.array(keys).dictionary_encode().indices.to_numpy().astype(np.int64)
    again = np.bincount(renamed, minlength=1)[renamed] > 1
    return starts[again], renamed[again]


def _top(owners: Ints, ids: Ints, sizes: Ints, num_texts: int) -> Ints:
    """Return, for each text, the total characters of all occurrences of its most frequent n-gram."""
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    rank = np.lexsort((first, -counts, owners[first]))
    texts, best = np.unique(owners[first][rank], return_index=True)
    top = np.zeros(num_texts, np.int64)
    top[texts] = (sizes[first] * counts)[rank][best]
    return top


def _greedy(starts: Ints, ids: Ints, n: int) -> npt.NDArray[np.bool_]:
    """Mark the repeated n-grams in a scan of each text that skips the words of a repeated n-gram."""
    seen: set[int] = set()
    free = 0
    found = np.zeros(len(starts), np.bool_)
    for index, (start, gram) in enumerate(zip(starts.tolist(), ids.tolist(), strict=True)):
        if start < free:
            continue
        if gram in seen:
            found[index] = True
            free = start + n
        else:
            seen.add(gram)
    return found


def sums_by(owners: Ints, values: npt.NDArray[np.int64], num_texts: int) -> Ints:
    """Sum values by owner: num_texts int64."""
    return np.bincount(owners, weights=values, minlength=num_texts).astype(np.int64)


SHORT_LINE_CHARACTERS = 30  # FineWeb: the maximum length of a short line
_BULLET = r"^[•‣▪◦●*-]"
_CUT = r"(?:\.\.\.|…)$"
# Sentence-final punctuation of all scripts; then optional closing quotes or brackets.
_END = r"[.!?…‽。．｡！？؟۔।॥։።።៕။]"
_CLOSING = r"[\"'”’»)\]]*"
_PUNCTUATED = rf"(?:{_END}{_CLOSING}|[\"'”’»])$"
_SENTENCE = rf"{_END}+{_CLOSING}(?:[\s\p{{Z}}]|$)"


def line_counts(batch: pa.RecordBatch, resources: Resources) -> pa.Array:
    """Return counts and fractions of kinds of lines, repeated lines and paragraphs, and the number of sentences."""
    texts = batch["text"]
    lines, line_bounds = _pieces(pc.split_pattern(texts, "\n"))
    paragraphs, paragraph_bounds = _pieces(pc.split_pattern_regex(texts, pattern=r"\n[\s\p{Z}]*\n"))
    line_again, paragraph_again = _again(lines, line_bounds), _again(paragraphs, paragraph_bounds)
    line_lengths, paragraph_lengths = (pc.utf8_length(pieces).to_numpy() for pieces in (lines, paragraphs))
    num_characters = pc.utf8_length(texts).to_numpy().astype(np.int64)
    num_lines, num_paragraphs = np.diff(line_bounds), np.diff(paragraph_bounds)

    def share(pattern: str) -> npt.NDArray[np.float64]:
        found = pc.match_substring_regex(lines, pattern=pattern).to_numpy(zero_copy_only=False)
        return fractions(sums(found, line_bounds), num_lines)

    return structure(
        lines=num_lines,
        bullets=share(_BULLET),
        cut=share(_CUT),
        punctuated=share(_PUNCTUATED),
        short=fractions(sums(line_lengths <= SHORT_LINE_CHARACTERS, line_bounds), num_lines),
        duplicate_lines=fractions(sums(line_again, line_bounds), num_lines),
        duplicate_line_characters=fractions(sums(line_again * line_lengths, line_bounds), num_characters),
        duplicate_paragraphs=fractions(sums(paragraph_again, paragraph_bounds), num_paragraphs),
        duplicate_paragraph_characters=fractions(
            sums(paragraph_again * paragraph_lengths, paragraph_bounds), num_characters
        ),
        sentences=pc.count_substring_regex(texts, pattern=_SENTENCE).to_numpy(),
    )


def _pieces(split: pa.ListArray) -> tuple[pa.Array, Ints]:
    """Return the trimmed pieces that are not blank, and the offsets of the texts."""
    pieces, bounds = pc.utf8_trim_whitespace(split.flatten()), bounds_of(split)
    filled = pc.not_equal(pieces, "")
    counts = sums(filled.to_numpy(zero_copy_only=False), bounds)
    return pieces.filter(filled), np.concatenate([[0], np.cumsum(counts)])


def _again(pieces: pa.Array, bounds: Ints) -> npt.NDArray[np.bool_]:
    """Return whether each piece occurs earlier in its text."""
    codes = pieces.dictionary_encode().indices.to_numpy().astype(np.int64)
    owners = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    found = np.ones(len(codes), np.bool_)
    found[np.unique(owners * (len(codes) + 1) + codes, return_index=True)[1]] = False
    return found


def perplexity(batch: pa.RecordBatch, resources: Resources) -> pa.Array:
    """Return the perplexity of each text. Raises: SchemaError without a language model."""
    if resources.perplexity is None:
        raise SchemaError("a filter reads the perplexity of texts, but there is no language model")
    return resources.perplexity(batch["text"])


_INSIDE = rf"[^\s\p{{Z}}\p{{P}}\p{{S}}\p{{C}}{UNSPACED}]"
_ROW = r"\.\.+|[-–—]+|=+|\*+|_+|~+"
_TOKEN = rf"[{UNSPACED}]|\+?\p{{N}}+(?:[.,/:]\p{{N}}+)+|['’]?{_INSIDE}+(?:[.,]{_INSIDE}+)*|{_ROW}|[^\s\p{{Z}}]"
_WORD = r"[\p{L}\p{N}]"

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
FEW_TOKENS = 12  # OBELICS: a shorter text passes the punctuation filter
LISTS = ("stop_words", "flagged_words", "common_words", "spam_words")


def tokens(batch: pa.RecordBatch, resources: Resources) -> pa.Array:
    """Return the tokens of each text: list<dictionary<string>>, with one dictionary for the batch."""
    spaced = pc.replace_substring_regex(batch["text"], pattern=_TOKEN, replacement=r"\0 ")
    # Trimmed because pyarrow 26 reads beyond the end of a batch's last text for more white space.
    pieces = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(spaced))
    flat, bounds = pieces.flatten(), bounds_of(pieces)
    filled = pc.not_equal(flat, "")  # white space at an end leaves empty pieces
    ends = np.concatenate([[0], np.cumsum(sums(filled.to_numpy(zero_copy_only=False), bounds))])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat.filter(filled).dictionary_encode())


def token_counts(batch: pa.RecordBatch, resources: Resources) -> pa.Array:
    """Return counts of tokens and words (tokens with a letter or digit) of each kind, and per word list in LISTS."""
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
    given = {name: resources.words[name] for name in LISTS if name in resources.words}
    return structure(
        tokens=num_tokens,
        words=num_words,
        mean_word_length=fractions(sums(words[codes], bounds), num_words),
        alphabetic=total(pc.match_substring_regex(known, pattern=r"\p{L}")),
        punctuation_fraction=np.where(num_tokens < FEW_TOKENS, 1, fractions(total(punctuation), num_tokens)),
        gopher_stop_words=np.sum(stop_words, axis=0),
        **{name: total(pc.is_in(lower, pa.array(sorted(words), pa.string()))) for name, words in given.items()},
    )


FEATURES = (
    Feature("num_words", ("text",), lambda batch, resources: count(batch["text"], WORD)),
    Feature("tokens", ("text",), tokens),
    Feature("token_counts", ("tokens",), token_counts),
    Feature("line_counts", ("text",), line_counts),
    Feature("gram_fractions", ("text", "tokens"), gram_fractions),
    Feature("character_fractions", ("text",), character_fractions),
    Feature("character_repetition", ("text",), character_repetition),
    Feature("perplexity", ("text",), perplexity),
)


def with_features(batch: pa.RecordBatch, filters: Iterable[Filter], resources: Resources) -> pa.RecordBatch:
    """Add to a batch each feature that the filters need, once."""
    needed = {column for filter in filters for column in filter.reads}
    for feature in reversed(FEATURES):
        if feature.name in needed:
            needed.update(feature.reads)
    for feature in FEATURES:
        if feature.name in needed and set(feature.reads) <= set(batch.schema.names):
            batch = batch.append_column(feature.name, feature.make(batch, resources))
    return batch
