"""Virtual streams: a fixed number of readers of a corpus, whatever the number of processes that train.

A stream owns a stretch of neighbouring samples and reads them in an order of its own in every epoch. Where it stands is
three numbers, so a checkpoint holds all of it and any number of processes can take it up.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from schemas.errors import IntegrityError
from schemas.ids import digest
from trainer.data.corpus import READ_AHEAD, Sample
from trainer.data.order import Order
from trainer.data.packing import Row, end_of_stretch
from trainer.data.shards import Readable
from trainer.formats import Document

Format = Callable[[Readable, Sample, bytes | None], Document]
Skipped = tuple[str, str]  # what could not be read, and why


@dataclass(frozen=True)
class Cursor:
    """Where a stream stands: the next token of the document at a position of an epoch's order."""

    epoch: int = 0
    position: int = 0
    token: int = 0


@dataclass
class _Block:
    """Neighbouring samples, those that a stream reads now."""

    first: int  # position of the first
    numbers: npt.NDArray[np.int64]  # in the order of reading
    samples: list[Sample | None]
    bodies: dict[int, bytes | None]  # of those that were read ahead, by position


class Stream:
    """One reader of one corpus."""

    def __init__(self, corpus: Readable, owned: range, seed: str, to_document: Format, once: bool = False) -> None:
        self._num_epochs = 1 if once else None
        self._corpus, self._owned, self._seed, self._to_document = corpus, owned, seed, to_document
        self.cursor = Cursor()
        self._order: Order | None = None
        self._block: _Block | None = None
        self._current: tuple[Cursor, Sample, Document] | None = None  # a document, and the cursor at its first token

    def row(self, length: int) -> tuple[Row, list[Skipped]]:
        """Read on until a row is full or the next sentence does not fit it; empty when no sample can be read.

        With it comes what could not be read on the way: samples that are broken, but not those that are lost.
        """
        row, skipped = Row.empty(length), list[Skipped]()
        while row.room and (found := self._document(skipped)):
            sample, document = found
            start = self.cursor.token
            if start >= len(document.tokens_L):  # only a damaged checkpoint leads there
                self._next()
                continue
            end = end_of_stretch(document, start, row)
            if end == start:
                break
            row.add(document, start, end, sample)
            if end == len(document.tokens_L):
                self._next()
            else:
                self.cursor = replace(self.cursor, token=end)
        return row, skipped

    def _document(self, skipped: list[Skipped]) -> tuple[Sample, Document] | None:
        """Return the sample under the cursor, moving past those that cannot be read; None when none can."""
        if self._current is not None and self._current[0] == replace(self.cursor, token=0):
            return self._current[1:]
        self._current = None
        for _ in range(len(self._owned) + 1):
            if self.cursor.epoch == self._num_epochs:
                return None
            if (found := self._read(self.cursor.position)) is not None:
                sample, body = found
                try:
                    document = self._to_document(self._corpus, sample, body)
                except IntegrityError as error:
                    skipped.append((sample.key, str(error)))
                else:
                    self._current = (replace(self.cursor, token=0), sample, document)
                    return sample, document
            self._next()
        return None

    def _read(self, position: int) -> tuple[Sample, bytes | None] | None:
        """Return the sample at a position of the epoch and what holds its words; None when the sample is lost."""
        if self._order is None or self._order.epoch != self.cursor.epoch:
            self._order, self._block = Order(self._owned, self._seed, self.cursor.epoch), None
        if self._block is None or not 0 <= position - self._block.first < len(self._block.numbers):
            first, numbers = self._order.block(position)
            low = int(numbers.min())
            samples = self._corpus.samples(low, int(numbers.max()) + 1)
            self._block = _Block(first, numbers, [samples[n - low] for n in numbers], {})
        block, place = self._block, position - self._block.first
        sample = block.samples[place]
        if sample is None:
            return None
        if position not in block.bodies:
            ahead = [
                (block.first + i, s)
                for i, s in enumerate(block.samples[place : place + READ_AHEAD], start=place)
                if s is not None
            ]
            bodies = self._corpus.bodies([s for _, s in ahead])
            block.bodies = {at: body for (at, _), body in zip(ahead, bodies, strict=True)}
        return sample, block.bodies[position]

    def _next(self) -> None:
        epoch, position = self.cursor.epoch, self.cursor.position + 1
        self.cursor = Cursor(epoch, position) if position < len(self._owned) else Cursor(epoch + 1)


def streams(corpus: Readable, num_streams: int, seed: int, to_document: Format, once: bool = False) -> list[Stream]:
    """Divide a corpus among streams: each owns as much of it as any other, and at least a sample."""
    n = min(num_streams, len(corpus))
    bounds = [len(corpus) * i // n for i in range(n + 1)]
    return [
        Stream(corpus, range(bounds[i], bounds[i + 1]), digest(str(seed), corpus.name, str(i)), to_document, once)
        for i in range(n)
    ]
