"""Documents in the input formats of Kosmos-1 (arXiv 2302.14045, section 2.1), packed into rows of a fixed length.

Array letters: L tokens of a document, T positions of a row.
"""

from dataclasses import dataclass, field, replace
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
    """A sample as tokens."""

    tokens_L: Tokens
    """Token ids; <pad> where the image mask is True."""
    image_mask_L: Mask
    """True at positions of image embeddings."""
    loss_L: Mask
    """Loss mask: True where the token is a target."""
    cuts_L: Mask
    """True where a row may end before this token: at a sentence, or before an image."""
    images: tuple[str, ...]
    """Members of the sample, in their order in the document."""


def text(tokenizer: Tokenizer, content: str) -> Document:
    """Format a text."""
    return _join([_token(BOS), _encode(tokenizer, content), _token(EOS)])


def caption(tokenizer: Tokenizer, content: str, image: str, num_image_tokens: int, max_tokens: int) -> Document:
    """Format an image with its caption, the target, truncated to `max_tokens`, since a row never splits it."""
    prompt = _without_loss(_join([_token(BOS), _image(image, num_image_tokens)]))
    return _indivisible(_join([prompt, _encode(tokenizer, content), _token(EOS)]), max_tokens)


def instruct(tokenizer: Tokenizer, instruction: str, output: str, max_tokens: int) -> Document:
    """Format an instruction, with its input, and its output. Only the output is a target.

    The instruction is formatted as `weft generate` formats a prompt. A row never splits the document; the output is
    truncated so that the document takes at most `max_tokens`.

    Raises: IntegrityError when the output is empty, or there is no room for it.
    """
    prompt = _without_loss(_join([_token(BOS), _encode(tokenizer, instruction.strip())]))
    target = _encode(tokenizer, output.strip())
    num_prompt, num_target = len(prompt.tokens_L), len(target.tokens_L)
    if not num_target or num_prompt >= max_tokens:
        raise IntegrityError(
            f"takes {num_prompt} tokens for the instruction and {num_target} for the output; a row has {max_tokens}"
        )
    return _indivisible(_join([prompt, target, _token(EOS)]), max_tokens)


def interleaved(tokenizer: Tokenizer, blocks: list[Block], num_image_tokens: int) -> Document:
    """Format a document of text and images. Consecutive blocks of text are joined by a line break."""
    parts = [_token(BOS)]
    for kind, group in groupby(blocks, key=lambda block: block["kind"]):
        if kind == "image":
            parts += [_image(block["image"], num_image_tokens) for block in group]
        else:
            parts.append(_encode(tokenizer, "\n".join(block["text"] for block in group)))
    document = _join([*parts, _token(EOS)])
    document.cuts_L[1] = False  # no row ends with <s> alone
    return document


def _without_loss(document: Document) -> Document:
    """Return a document none of whose tokens is a target."""
    return replace(document, loss_L=np.zeros_like(document.loss_L))


def _indivisible(document: Document, max_tokens: int) -> Document:
    """Return a document that a row never splits, truncated to `max_tokens`."""
    return Document(
        document.tokens_L[:max_tokens],
        document.image_mask_L[:max_tokens],
        document.loss_L[:max_tokens],
        np.zeros_like(document.cuts_L[:max_tokens]),
        document.images,
    )


def _token(token: int) -> Document:
    """Return one special token. All but <s>, the first of a document, are targets."""
    none = np.zeros(1, np.bool_)
    return Document(np.array([token], np.int32), none, np.array([token != BOS]), none, ())


def _encode(tokenizer: Tokenizer, content: str) -> Document:
    tokens = tokenizer.encode(content)
    none = np.zeros(len(tokens), np.bool_)
    return Document(tokens, none, ~none, tokenizer.sentence_starts(tokens), ())


def _image(member: str, num_image_tokens: int) -> Document:
    tokens = np.array([IMAGE, *[PAD] * num_image_tokens, END_IMAGE], np.int32)
    image_mask = np.zeros(len(tokens), np.bool_)
    image_mask[1:-1] = True
    cuts = np.zeros(len(tokens), np.bool_)
    cuts[0] = True
    return Document(tokens, image_mask, ~image_mask, cuts, (member,))


def _join(parts: list[Document]) -> Document:
    return Document(
        np.concatenate([p.tokens_L for p in parts]),
        np.concatenate([p.image_mask_L for p in parts]),
        np.concatenate([p.loss_L for p in parts]),
        np.concatenate([p.cuts_L for p in parts]),
        tuple(image for p in parts for image in p.images),
    )


IGNORED = -100  # target of a position that is masked out of the loss


@dataclass(frozen=True)
class PackedImage:
    """An image of a row, with its segment of the row."""

    sample: Sample
    member: str
    segment: int


@dataclass
class PackedRow:
    """A row, filled from the left. Segment ids count from 1; padding has 0."""

    tokens_T: npt.NDArray[np.int32]
    image_mask_T: npt.NDArray[np.bool_]
    segment_ids_T: npt.NDArray[np.int32]
    targets_T: npt.NDArray[np.int32]
    """The next token of the segment; IGNORED at its end and where the loss is masked."""
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
        """Append tokens start to end of a document as a new segment."""
        added = slice(self.num_tokens, self.num_tokens + end - start)
        segment = int(self.segment_ids_T.max(initial=0)) + 1
        self.tokens_T[added] = document.tokens_L[start:end]
        self.image_mask_T[added] = document.image_mask_L[start:end]
        self.segment_ids_T[added] = segment
        targets = np.where(document.loss_L[start + 1 : end], document.tokens_L[start + 1 : end], IGNORED)
        self.targets_T[added.start : added.stop - 1] = targets
        self.num_tokens = added.stop
        if document.images:
            per_image = int(document.image_mask_L.sum()) // len(document.images)
            first, last = (int(document.image_mask_L[:i].sum()) // per_image for i in (start, end))
            self.images += [PackedImage(sample, member, segment) for member in document.images[first:last]]

    def columns(self) -> npt.NDArray[np.int32]:
        """Return tokens, image mask, segment ids and targets, (4, T)."""
        return np.stack([self.tokens_T, self.image_mask_T.astype(np.int32), self.segment_ids_T, self.targets_T])

    def ignore_segment(self, segment: int) -> None:
        """Mask a segment out of the loss, because one of its images cannot be read."""
        self.targets_T[self.segment_ids_T == segment] = IGNORED


def end_of_segment(document: Document, start: int, row: PackedRow) -> int:
    """Return the end of the part of a document, from token `start`, that a row can take; `start` for the next row.

    That is the document's end if it fits, else the last place where it may be cut. A sentence longer than a row is cut
    at the row's end.
    """
    length = len(document.tokens_L)
    if length - start <= row.room:
        return length
    cuts = np.flatnonzero(document.cuts_L[start + 1 : start + row.room + 1])
    if len(cuts):
        return start + 1 + int(cuts[-1])
    return start if row.num_tokens else start + row.room
