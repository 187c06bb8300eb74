"""Documents in the input formats of Kosmos-1 (arXiv 2302.14045, section 2.1), packed into rows of a fixed length."""

from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from schemas.errors import IntegrityError
from schemas.shards import Block
from trainer.data.corpus import Sample
from trainer.tokenizer import BOS, END_IMAGE, EOS, IMAGE, PAD, Tokenizer

Tokens = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Document:
    """A sample as the decoder reads it; L tokens."""

    tokens_L: Tokens
    """Token ids; slots hold <pad>."""
    image_mask_L: Mask
    """True where an image embedding stands."""
    loss_L: Mask
    """True where the token is one to predict."""
    cuts_L: Mask
    """True where a row may end before this token: at a sentence, or before an image."""
    images: tuple[str, ...]
    """Members of the sample, in the order of their slots."""


def text(tokenizer: Tokenizer, words: str) -> Document:
    """Format a text."""
    return _join([_token(BOS), _words(tokenizer, words), _token(EOS)])


def caption(tokenizer: Tokenizer, words: str, image: str, num_image_tokens: int, max_tokens: int) -> Document:
    """Format an image with its caption. It is never cut in two, so words beyond `max_tokens` are left out."""
    before = _join([_token(BOS), _image(image, num_image_tokens)])
    silent = Document(before.tokens_L, before.image_mask_L, np.zeros_like(before.loss_L), before.cuts_L, before.images)
    return _unbroken(_join([silent, _words(tokenizer, words), _token(EOS)]), max_tokens)


def instruct(tokenizer: Tokenizer, asked: str, output: str, max_tokens: int) -> Document:
    """Format an instruction, with its input, and what answers it: only the answer is to predict.

    What is asked is read as `weft generate` reads a prompt. Never cut in two; of an answer, what lies beyond
    `max_tokens` is left out.

    Raises: IntegrityError when there is no answer, or no room for one.
    """
    before = _join([_token(BOS), _words(tokenizer, asked.strip())])
    silent = Document(before.tokens_L, before.image_mask_L, np.zeros_like(before.loss_L), before.cuts_L, ())
    said = _words(tokenizer, output.strip())
    if not len(said.tokens_L) or len(before.tokens_L) >= max_tokens:
        raise IntegrityError(
            f"takes {len(before.tokens_L)} tokens to ask and {len(said.tokens_L)} to answer; a row has {max_tokens}"
        )
    return _unbroken(_join([silent, said, _token(EOS)]), max_tokens)


def interleaved(tokenizer: Tokenizer, blocks: list[Block], num_image_tokens: int) -> Document:
    """Format a document of text and images. Neighbouring blocks of text are joined by a line break."""
    parts = [_token(BOS)]
    for kind, group in groupby(blocks, key=lambda block: block["kind"]):
        if kind == "image":
            parts += [_image(block["image"], num_image_tokens) for block in group]
        else:
            parts.append(_words(tokenizer, "\n".join(block["text"] for block in group)))
    document = _join([*parts, _token(EOS)])
    document.cuts_L[1] = False  # <s> is not left behind alone
    return document


def _unbroken(whole: Document, max_tokens: int) -> Document:
    """Return a document that no row may divide, cut to what a row holds."""
    return Document(
        whole.tokens_L[:max_tokens],
        whole.image_mask_L[:max_tokens],
        whole.loss_L[:max_tokens],
        np.zeros_like(whole.cuts_L[:max_tokens]),
        whole.images,
    )


def _token(token: int) -> Document:
    """Return one special token; all but <s>, which nothing precedes, are to predict."""
    no = np.zeros(1, np.bool_)
    return Document(np.array([token], np.int32), no, np.array([token != BOS]), no, ())


def _words(tokenizer: Tokenizer, words: str) -> Document:
    tokens = tokenizer.encode(words)
    no = np.zeros(len(tokens), np.bool_)
    return Document(tokens, no, ~no, tokenizer.sentence_starts(tokens), ())


def _image(member: str, num_image_tokens: int) -> Document:
    tokens = np.array([IMAGE, *[PAD] * num_image_tokens, END_IMAGE], np.int32)
    slots = np.zeros(len(tokens), np.bool_)
    slots[1:-1] = True
    cuts = np.zeros(len(tokens), np.bool_)
    cuts[0] = True
    return Document(tokens, slots, ~slots, cuts, (member,))


def _join(parts: list[Document]) -> Document:
    return Document(
        np.concatenate([p.tokens_L for p in parts]),
        np.concatenate([p.image_mask_L for p in parts]),
        np.concatenate([p.loss_L for p in parts]),
        np.concatenate([p.cuts_L for p in parts]),
        tuple(image for p in parts for image in p.images),
    )


IGNORED = -100  # target of a position that predicts nothing


@dataclass(frozen=True)
class PackedImage:
    """An image of a row: where it lies, and the segment of the row that it belongs to."""

    sample: Sample
    member: str
    segment: int


@dataclass
class PackedRow:
    """A row of T positions that is filled from the left."""

    tokens_T: npt.NDArray[np.int32]
    image_mask_T: npt.NDArray[np.bool_]
    segment_ids_T: npt.NDArray[np.int32]
    targets_T: npt.NDArray[np.int32]
    """At each position the token to predict, the next one of its segment; IGNORED where there is none."""
    images: list[PackedImage] = field(default_factory=list)
    num_tokens: int = 0

    @classmethod
    def empty(cls, length: int) -> "PackedRow":
        return cls(
            np.full(length, PAD, np.int32),
            np.zeros(length, np.bool_),
            np.zeros(length, np.int32),
            np.full(length, IGNORED, np.int32),
        )

    @property
    def room(self) -> int:
        return len(self.tokens_T) - self.num_tokens

    def add(self, document: Document, start: int, end: int, sample: Sample) -> None:
        """Append tokens start to end of a document as one segment."""
        here = slice(self.num_tokens, self.num_tokens + end - start)
        segment = int(self.segment_ids_T.max(initial=0)) + 1
        self.tokens_T[here] = document.tokens_L[start:end]
        self.image_mask_T[here] = document.image_mask_L[start:end]
        self.segment_ids_T[here] = segment
        predicted = slice(here.start, here.stop - 1)
        targets = np.where(document.loss_L[start + 1 : end], document.tokens_L[start + 1 : end], IGNORED)
        self.targets_T[predicted] = targets
        self.num_tokens = here.stop
        if document.images:
            per_image = int(document.image_mask_L.sum()) // len(document.images)
            first, last = (int(document.image_mask_L[:i].sum()) // per_image for i in (start, end))
            self.images += [PackedImage(sample, member, segment) for member in document.images[first:last]]

    def columns(self) -> npt.NDArray[np.int32]:
        """Return tokens, slots, segments and targets, (4, T)."""
        return np.stack([self.tokens_T, self.image_mask_T.astype(np.int32), self.segment_ids_T, self.targets_T])

    def ignore_segment(self, segment: int) -> None:
        """Predict nothing in a segment: an image of it cannot be read."""
        self.targets_T[self.segment_ids_T == segment] = IGNORED


def end_of_segment(document: Document, start: int, row: PackedRow) -> int:
    """Return how far a document, taken up at token `start`, goes into a row; `start` itself when it must wait.

    It goes to its end if that fits, else to the last place where it may be cut. A sentence longer than a whole row is
    cut where the row ends.
    """
    length = len(document.tokens_L)
    if length - start <= row.room:
        return length
    places = np.flatnonzero(document.cuts_L[start + 1 : start + row.room + 1])
    if len(places):
        return start + 1 + int(places[-1])
    return start if row.num_tokens else start + row.room
