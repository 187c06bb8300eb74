"""Pack documents into rows of a fixed length: whole sentences and whole images, from one or more documents.

Every stretch of a document in a row has a number of its own there, from 1; 0 is padding. Attention and positions stay
inside a stretch (trainer/model/sight.py), and nothing is predicted across its start.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trainer.data.corpus import Sample
from trainer.formats import Document
from trainer.tokenizer import PAD

IGNORED = -100  # target of a position that predicts nothing


@dataclass(frozen=True)
class PackedImage:
    """An image of a row: where it lies, and the stretch of the row that it belongs to."""

    sample: Sample
    member: str
    stretch: int


@dataclass
class Row:
    """A row of T positions that is filled from the left."""

    tokens_T: npt.NDArray[np.int32]
    slots_T: npt.NDArray[np.bool_]
    stretches_T: npt.NDArray[np.int32]
    targets_T: npt.NDArray[np.int32]
    """At each position the token to predict, the next one of its stretch; IGNORED where there is none."""
    images: list[PackedImage] = field(default_factory=list)
    num_tokens: int = 0

    @classmethod
    def empty(cls, length: int) -> "Row":
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
        """Append tokens start to end of a document as one stretch."""
        here = slice(self.num_tokens, self.num_tokens + end - start)
        stretch = int(self.stretches_T.max(initial=0)) + 1
        self.tokens_T[here] = document.tokens_L[start:end]
        self.slots_T[here] = document.slots_L[start:end]
        self.stretches_T[here] = stretch
        predicted = slice(here.start, here.stop - 1)
        targets = np.where(document.loss_L[start + 1 : end], document.tokens_L[start + 1 : end], IGNORED)
        self.targets_T[predicted] = targets
        self.num_tokens = here.stop
        if document.images:
            per_image = int(document.slots_L.sum()) // len(document.images)
            first, last = (int(document.slots_L[:i].sum()) // per_image for i in (start, end))
            self.images += [PackedImage(sample, member, stretch) for member in document.images[first:last]]

    def columns(self) -> npt.NDArray[np.int32]:
        """Return tokens, slots, stretches and targets, (4, T)."""
        return np.stack([self.tokens_T, self.slots_T.astype(np.int32), self.stretches_T, self.targets_T])

    def silence(self, stretch: int) -> None:
        """Predict nothing in a stretch: an image of it cannot be read."""
        self.targets_T[self.stretches_T == stretch] = IGNORED


def end_of_stretch(document: Document, start: int, row: Row) -> int:
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
