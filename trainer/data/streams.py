"""Virtual streams: a fixed number of readers of a corpus, whatever the number of processes that train.

A stream owns a stretch of neighbouring samples and reads them in an order of its own in every epoch. Where it stands is
three numbers, so a checkpoint holds all of it and any number of processes can take it up.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt

from schemas.errors import IntegrityError
from schemas.ids import digest
from trainer.data.packing import Row, end_of_stretch
from trainer.data.shards import Corpus, Sample
from trainer.formats import Document

Format = Callable[[Corpus, Sample], Document]


@dataclass
class Skipped:
    """Samples that could not be read, each named once: on standard error and here, key to reason."""

    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, reason: str) -> None:
        if key not in self.reasons:
            self.reasons[key] = reason
            print(f"skipped: {reason}", file=sys.stderr)


@dataclass
class Cursor:
    """Where a stream stands: the next token of the document at a position of an epoch's order."""

    epoch: int = 0
    position: int = 0
    token: int = 0


class Stream:
    """One reader of one corpus."""

    def __init__(self, corpus: Corpus, owned: range, seed: str, to_document: Format, skipped: Skipped) -> None:
        self._corpus, self._owned, self._seed = corpus, owned, seed
        self._to_document, self._skipped = to_document, skipped
        self.cursor = Cursor()
        self._order: tuple[int, npt.NDArray[np.int64]] | None = None  # epoch, and the samples in its order
        self._current: tuple[int, int, Sample, Document] | None = None  # epoch, position, and what is read there

    def row(self, length: int) -> Row:
        """Read on until a row is full or the next sentence does not fit it; empty when no sample can be read."""
        row = Row.empty(length)
        while row.room and (found := self._document()):
            sample, document = found
            start = self.cursor.token
            end = end_of_stretch(document, start, row)
            if end == start:
                break
            row.add(document, start, end, sample)
            self.cursor.token = end
            if end == len(document.tokens_L):
                self._next()
        return row

    def _document(self) -> tuple[Sample, Document] | None:
        """Return the sample under the cursor, moving past those that cannot be read; None when none can."""
        place = (self.cursor.epoch, self.cursor.position)
        if self._current is not None and self._current[:2] == place:
            return self._current[2:]
        for _ in range(len(self._owned) + 1):
            sample = self._corpus.sample(self._sample_number())
            try:
                document = self._to_document(self._corpus, sample)
            except IntegrityError as error:
                self._skipped.add(sample.key, str(error))
                self._next()
                continue
            self._current = (self.cursor.epoch, self.cursor.position, sample, document)
            return sample, document
        return None

    def _sample_number(self) -> int:
        if self._order is None or self._order[0] != self.cursor.epoch:
            seed = int(digest(self._seed, str(self.cursor.epoch)), 16)
            self._order = (self.cursor.epoch, np.random.default_rng(seed).permutation(np.asarray(self._owned)))
        return int(self._order[1][self.cursor.position])

    def _next(self) -> None:
        position = self.cursor.position + 1
        epoch = self.cursor.epoch
        self.cursor = Cursor(epoch, position) if position < len(self._owned) else Cursor(epoch + 1)


class Rows:
    """The rows of a corpus, drawn from its streams in turn."""

    def __init__(self, corpus: Corpus, num_streams: int, seed: int, to_document: Format, skipped: Skipped) -> None:
        n = min(num_streams, len(corpus))  # every stream owns a sample
        bounds = [len(corpus) * i // n for i in range(n + 1)]
        self._streams = [
            Stream(
                corpus, range(bounds[i], bounds[i + 1]), digest(str(seed), corpus.name, str(i)), to_document, skipped
            )
            for i in range(n)
        ]
        self._name = corpus.name
        self._num_turns = 0
        self._num_tokens = 0

    def draw(self, num_tokens: int, length: int) -> list[Row]:
        """Draw rows until the corpus has given `num_tokens` since the start of the run.

        Raises: IntegrityError when not one of its samples can be read.
        """
        rows: list[Row] = []
        num_empty = 0
        while self._num_tokens < num_tokens:
            row = self._streams[self._num_turns % len(self._streams)].row(length)
            self._num_turns += 1
            self._num_tokens += row.num_tokens
            num_empty = 0 if row.num_tokens else num_empty + 1
            if num_empty == len(self._streams):
                raise IntegrityError(f"no sample of {self._name} can be read; write the shards again")
            rows += [row] if row.num_tokens else []
        return rows

    def state(self) -> dict[str, object]:
        """Return where every stream stands, as plain JSON values."""
        cursors = [asdict(stream.cursor) for stream in self._streams]
        return {"num_turns": self._num_turns, "num_tokens": self._num_tokens, "streams": cursors}

    def load_state(self, state: dict) -> None:  # type: ignore[type-arg]
        """Take up where another run, over any number of processes, left off."""
        self._num_turns, self._num_tokens = state["num_turns"], state["num_tokens"]
        for stream, cursor in zip(self._streams, state["streams"], strict=True):
            stream.cursor = Cursor(**cursor)
