"""Features: columns made from texts once per batch, for all filters that read them."""

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
    """What views take from outside the batch, loaded by the caller.

    words:      lists of words in lower case, by the name of their key in the recipe's filters.lists
    perplexity: n texts to n float64, by a language model; None where the recipe names none
    """

    words: Mapping[str, frozenset[str]] = field(default_factory=dict)
    perplexity: Callable[[pa.Array], pa.Array] | None = None


@dataclass(frozen=True)
class Feature:
    """One view: its name, the columns that it reads (of the batch, or views before it), and the function."""

    name: str
    reads: tuple[str, ...]
    make: Callable[[pa.RecordBatch, Resources], pa.Array]


def part(batch: pa.RecordBatch, view: str, name: str) -> pa.Array:
    """Return one field of a view that is a struct, as float64."""
    return batch[view].field(name).cast(pa.float64())


def structure(**fields: npt.NDArray[np.generic]) -> pa.StructArray:
    """Make a view of several numbers for each row."""
    return pa.StructArray.from_arrays([pa.array(values) for values in fields.values()], list(fields))


def bounds_of(lists: pa.ListArray) -> Ints:
    """Return where each list begins in its flattened values, and where the last one ends: n lists to n + 1 numbers."""
    offsets = lists.offsets.to_numpy().astype(np.int64)
    found: Ints = offsets - offsets[0]
    return found


def sums(values: npt.NDArray[np.generic], bounds: Ints) -> Ints:
    """Add up the values of each list; an empty list has 0."""
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:], dtype=np.int64)
    found: Ints = total[bounds[1:]] - total[bounds[:-1]]
    return found


def shares(counts: Ints, wholes: Ints) -> npt.NDArray[np.float64]:
    """Divide counts by wholes; 0 where the whole is 0."""
    found: npt.NDArray[np.float64] = counts / np.maximum(wholes, 1)
    return found


RUN = 10  # characters: OBELICS measures repetition by runs of this length
_LETTER, _UPPER, _DIGIT = 1, 2, 4
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplication by it loses no bit


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """Return what each code point is: marks belong to their letters, capitals are letters too."""
    kinds = {"Lu": _LETTER | _UPPER, "Lt": _LETTER | _UPPER, "Nd": _DIGIT}
    kinds |= dict.fromkeys(("Ll", "Lm", "Lo", "Mn", "Mc", "Me"), _LETTER)
    return np.array([kinds.get(unicodedata.category(chr(point)), 0) for point in range(0x110000)], np.uint8)


def _points(texts: pa.Array) -> tuple[npt.NDArray[np.uint32], Ints]:
    """Return the code points of all texts in a row, and where each text's begin."""
    joined = "".join(texts.to_pylist()).encode("utf-32-le", "surrogatepass")
    lengths = pc.utf8_length(texts).to_numpy().astype(np.int64)
    return np.frombuffer(joined, np.uint32), np.concatenate([[0], np.cumsum(lengths)])


def character_fractions(batch: pa.RecordBatch, aids: Resources) -> pa.Array:
    """Measure, as parts of a text's characters: what is no letter, white space included; capitals; digits."""
    points, bounds = _points(batch["text"])
    kinds, lengths = _kinds()[points], np.diff(bounds)
    return structure(
        special=shares(sums((kinds & _LETTER) == 0, bounds), lengths),
        upper=shares(sums((kinds & _UPPER) > 0, bounds), lengths),
        digits=shares(sums((kinds & _DIGIT) > 0, bounds), lengths),
    )


def character_repetition(batch: pa.RecordBatch, aids: Resources) -> pa.Array:
    """Measure how many of a text's runs of RUN characters are among the most frequent repeated ones.

    Of U different runs the sqrt(U) most frequent are counted, if they come more than once: a long text repeats runs
    by chance, and this bound keeps its measure from growing with that.
    """
    points, bounds = _points(batch["text"])
    num_texts = len(bounds) - 1
    num_runs = np.maximum(np.diff(bounds) - RUN + 1, 0)
    owners = np.repeat(np.arange(num_texts), num_runs)
    starts = np.arange(len(owners)) - np.repeat(np.cumsum(num_runs) - num_runs, num_runs) + bounds[owners]
    hashes = np.zeros(len(owners), np.uint64)
    for offset in range(RUN):
        hashes = (hashes ^ points[starts + offset]) * _FACTOR
        hashes ^= hashes >> np.uint64(29)
    # The text goes into the upper bits, so that sorting keeps texts apart. Of a thousand texts 54 bits are left: two
    # different runs of a text of 2,000 characters are taken for one in one of 10^10 texts.
    bits = num_texts.bit_length()
    runs = np.sort((owners.astype(np.uint64) << np.uint64(64 - bits)) | (hashes >> np.uint64(bits)))
    first = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]])[: len(runs)])
    counts, texts = np.diff(first, append=len(runs)), owners[first]  # owners ascend, as the runs do
    different = np.bincount(texts, minlength=num_texts)
    again = counts > 1
    texts, counts = texts[again], counts[again]
    order = np.lexsort((-counts, texts))
    texts, counts = texts[order], counts[order]
    num_again = np.bincount(texts, minlength=num_texts)
    rank = np.arange(len(texts)) - np.repeat(np.cumsum(num_again) - num_again, num_again)
    frequent = rank < np.floor(np.sqrt(different)).astype(np.int64)[texts]
    counted = np.bincount(texts[frequent], weights=counts[frequent], minlength=num_texts).astype(np.int64)
    return pa.array(shares(counted, num_runs))


TOP = (2, 3, 4)
REPEATED = 5  # of OBELICS
DUPLICATE = (5, 6, 7, 8, 9, 10)


def gram_fractions(batch: pa.RecordBatch, aids: Resources) -> pa.Array:
    """Measure, as parts of a text's characters: the most frequent 2- to 4-gram, and repeated 5- to 10-grams.

    repeated_N is the part of all N-grams that are said more than once, every time that they are.
    top_N is 0 where no N-gram is repeated; of equally frequent ones the first counts, with a space between its words.
    duplicate_N passes over a repeated N-gram as a whole, so that overlapping ones do not count twice.
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
            found[f"repeated_{n}"] = shares(occurrences, num_words - n + 1)
        if n in TOP:
            found[f"top_{n}"] = shares(_top(owners[starts], ids, sizes + n - 1, len(lists)), characters)
        if n in DUPLICATE:
            repeated = sizes * _greedy(starts, ids, n)
            found[f"duplicate_{n}"] = shares(sums_by(owners[starts], repeated, len(lists)), characters)
    return structure(**found)


def _longer(starts: Ints, ids: Ints, n: int, words: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Grow repeated (n - 1)-grams by a word; return where n-grams that are repeated in their text start, and ids.

    An id tells an n-gram of one text from all others of any text.
    """
    within = starts + n <= ends[starts]
    starts, ids = starts[within], ids[within]
    # ids and words stay below the number of a batch's words each (or that times its rows), so nothing overflows
    keys = ids * (words.max(initial=0) + 1) + words[starts + n - 1]
    renamed = pa.array(keys).dictionary_encode().indices.to_numpy().astype(np.int64)
    again = np.bincount(renamed, minlength=1)[renamed] > 1
    return starts[again], renamed[again]


def _top(owners: Ints, ids: Ints, sizes: Ints, num_texts: int) -> Ints:
    """Return for each text the characters of its most frequent n-gram, all its occurrences together."""
    _, first, counts = np.unique(ids, return_index=True, return_counts=True)
    rank = np.lexsort((first, -counts, owners[first]))
    texts, best = np.unique(owners[first][rank], return_index=True)
    top = np.zeros(num_texts, np.int64)
    top[texts] = (sizes[first] * counts)[rank][best]
    return top


def _greedy(starts: Ints, ids: Ints, n: int) -> npt.NDArray[np.bool_]:
    """Tell which n-grams count as repeated when a text is read from its beginning, a repeated one as a whole."""
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
    """Add up values by their owner."""
    return np.bincount(owners, weights=values, minlength=num_texts).astype(np.int64)


SHORT_LINE_CHARACTERS = 30  # FineWeb: a line of so many characters or fewer is short
_BULLET = r"^[•‣▪◦●*-]"
_CUT = r"(?:\.\.\.|…)$"
# The signs that end a sentence in some script; then, perhaps, what closes a quotation or a bracket.
_END = r"[.!?…‽。．｡！？؟۔।॥։።።៕။]"
_CLOSING = r"[\"'”’»)\]]*"
_PUNCTUATED = rf"(?:{_END}{_CLOSING}|[\"'”’»])$"
_SENTENCE = rf"{_END}+{_CLOSING}(?:[\s\p{{Z}}]|$)"


def line_counts(batch: pa.RecordBatch, aids: Resources) -> pa.Array:
    """Count lines of each kind, paragraphs and sentences; and what was said before on the same page."""
    texts = batch["text"]
    lines, line_bounds = _pieces(pc.split_pattern(texts, "\n"))
    paragraphs, paragraph_bounds = _pieces(pc.split_pattern_regex(texts, pattern=r"\n[\s\p{Z}]*\n"))
    line_again, paragraph_again = _again(lines, line_bounds), _again(paragraphs, paragraph_bounds)
    line_lengths, paragraph_lengths = (pc.utf8_length(pieces).to_numpy() for pieces in (lines, paragraphs))
    num_characters = pc.utf8_length(texts).to_numpy().astype(np.int64)
    num_lines, num_paragraphs = np.diff(line_bounds), np.diff(paragraph_bounds)

    def share(pattern: str) -> npt.NDArray[np.float64]:
        found = pc.match_substring_regex(lines, pattern=pattern).to_numpy(zero_copy_only=False)
        return shares(sums(found, line_bounds), num_lines)

    return structure(
        lines=num_lines,
        bullets=share(_BULLET),
        cut=share(_CUT),
        punctuated=share(_PUNCTUATED),
        short=shares(sums(line_lengths <= SHORT_LINE_CHARACTERS, line_bounds), num_lines),
        duplicate_lines=shares(sums(line_again, line_bounds), num_lines),
        duplicate_line_characters=shares(sums(line_again * line_lengths, line_bounds), num_characters),
        duplicate_paragraphs=shares(sums(paragraph_again, paragraph_bounds), num_paragraphs),
        duplicate_paragraph_characters=shares(
            sums(paragraph_again * paragraph_lengths, paragraph_bounds), num_characters
        ),
        sentences=pc.count_substring_regex(texts, pattern=_SENTENCE).to_numpy(),
    )


def _pieces(split: pa.ListArray) -> tuple[pa.Array, Ints]:
    """Return the pieces that are not blank, without white space around them, and where each text's begin."""
    pieces, bounds = pc.utf8_trim_whitespace(split.flatten()), bounds_of(split)
    filled = pc.not_equal(pieces, "")
    counts = sums(filled.to_numpy(zero_copy_only=False), bounds)
    return pieces.filter(filled), np.concatenate([[0], np.cumsum(counts)])


def _again(pieces: pa.Array, bounds: Ints) -> npt.NDArray[np.bool_]:
    """Tell of each piece whether it stands earlier in its own text."""
    codes = pieces.dictionary_encode().indices.to_numpy().astype(np.int64)
    owners = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    found = np.ones(len(codes), np.bool_)
    found[np.unique(owners * (len(codes) + 1) + codes, return_index=True)[1]] = False
    return found


def perplexity(batch: pa.RecordBatch, aids: Resources) -> pa.Array:
    """Ask the model. Raises: SchemaError when there is none."""
    if aids.perplexity is None:
        raise SchemaError("a filter reads the perplexity of texts, and no language model was given")
    return aids.perplexity(batch["text"])


_INSIDE = rf"[^\s\p{{Z}}\p{{P}}\p{{S}}\p{{C}}{UNSPACED}]"
_ROW = r"\.\.+|[-–—]+|=+|\*+|_+|~+"
_TOKEN = rf"[{UNSPACED}]|\+?\p{{N}}+(?:[.,/:]\p{{N}}+)+|['’]?{_INSIDE}+(?:[.,]{_INSIDE}+)*|{_ROW}|[^\s\p{{Z}}]"
_WORD = r"[\p{L}\p{N}]"

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
FEW_TOKENS = 12  # OBELICS: of a shorter text punctuation tells nothing, and it counts as punctuated throughout
LISTS = ("stop_words", "flagged_words", "common_words", "spam_words")


def tokens(batch: pa.RecordBatch, aids: Resources) -> pa.Array:
    """Return the tokens of each text: list<dictionary<string>>, the dictionary being the whole batch's."""
    spaced = pc.replace_substring_regex(batch["text"], pattern=_TOKEN, replacement=r"\0 ")
    # Trimmed, since pyarrow 26 looks beyond the end of a batch's last text for more white space.
    pieces = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(spaced))
    flat, bounds = pieces.flatten(), bounds_of(pieces)
    filled = pc.not_equal(flat, "")  # what white space at an end leaves
    ends = np.concatenate([[0], np.cumsum(sums(filled.to_numpy(zero_copy_only=False), bounds))])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat.filter(filled).dictionary_encode())


def token_counts(batch: pa.RecordBatch, aids: Resources) -> pa.Array:
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


VIEWS = (
    Feature("num_words", ("text",), lambda batch, aids: count(batch["text"], WORD)),
    Feature("tokens", ("text",), tokens),
    Feature("token_counts", ("tokens",), token_counts),
    Feature("line_counts", ("text",), line_counts),
    Feature("gram_fractions", ("text", "tokens"), gram_fractions),
    Feature("character_fractions", ("text",), character_fractions),
    Feature("character_repetition", ("text",), character_repetition),
    Feature("perplexity", ("text",), perplexity),
)


def with_features(batch: pa.RecordBatch, filters: Iterable[Filter], aids: Resources) -> pa.RecordBatch:
    """Add to a batch each view that a filter reads, once, and none that nobody reads."""
    wanted = {column for filter in filters for column in filter.reads}
    for view in reversed(VIEWS):
        if view.name in wanted:
            wanted.update(view.reads)
    for view in VIEWS:
        if view.name in wanted and set(view.reads) <= set(batch.schema.names):
            batch = batch.append_column(view.name, view.make(batch, aids))
    return batch
