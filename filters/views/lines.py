"""Cut texts into lines and paragraphs, once, and tell what they are: bullets, cut off, punctuated, short, said before.

A line is what stands between line feeds and is not blank; a paragraph is what stands between blank lines. Where a line
ends is told by its last sign that is not white space.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.views.view import Aids, Ints, bounds_of, shares, structure, sums

SHORT_LINE_CHARACTERS = 30  # FineWeb: a line of so many characters or fewer is short
_BULLET = r"^[•‣▪◦●*-]"
_CUT = r"(?:\.\.\.|…)$"
# The signs that end a sentence in some script; then, perhaps, what closes a quotation or a bracket.
_END = r"[.!?…‽。．｡！？؟۔।॥։።።៕။]"
_CLOSING = r"[\"'”’»)\]]*"
_PUNCTUATED = rf"(?:{_END}{_CLOSING}|[\"'”’»])$"
_SENTENCE = rf"{_END}+{_CLOSING}(?:[\s\p{{Z}}]|$)"


def line_counts(batch: pa.RecordBatch, aids: Aids) -> pa.Array:
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
