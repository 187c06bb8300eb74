"""Steps: rows drawn until each corpus has given its share of tokens, and where the streams stand after it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from schemas.errors import IntegrityError
from trainer.data.batches import Batches, MicroBatch
from trainer.data.source import Drawn
from trainer.data.streams import Cursor, Skipped

ROWS = ("text", "interleaved")  # whose sequences are packed rows; of others each document is one


class Rows(Protocol):
    """The source itself, or the workers that hold copies of it."""

    def take(self, corpus: str, turn: int) -> Drawn:
        """Return what a turn gave."""


@dataclass(frozen=True)
class Step:
    """One process's part of a step, with what is the same for all."""

    micro_batches: list[MicroBatch]
    num_tokens: dict[str, int]
    """Tokens of the whole step for each corpus, padding not counted."""
    num_images: int
    digest: str
    """SHA-256 of all rows of the step, those of other processes included."""
    skipped: list[Skipped]
    """What could not be read for rows of this process: over all processes, each that the step met stands here once."""


@dataclass
class Place:
    """Where a corpus stands."""

    cursors: list[Cursor]
    num_turns: int = 0
    num_given: int = 0
    """Tokens, or sequences, that it has given since the start of the run."""


class Steps:
    """Makes step after step, each with where the loader stands after it."""

    def __init__(
        self,
        rows: Rows,
        batches: Batches,
        wanted: dict[str, float],
        step: int,
        places: dict[str, Place],
        by_sequences: bool = False,
    ) -> None:
        """Go on after `step` steps, with corpora at `places`.

        `wanted` are the tokens that each gives to a step, or the sequences: rows of text and of interleaved documents,
        documents of other corpora.
        """
        self._rows, self._batches, self._wanted, self._by_sequences = rows, batches, wanted, by_sequences
        self._step, self._places = step, places

    def __iter__(self) -> Iterator[tuple[Step, int, dict[str, Place]]]:
        return self

    def __next__(self) -> tuple[Step, int, dict[str, Place]]:
        self._step += 1
        self._places = {c: Place(list(p.cursors), p.num_turns, p.num_given) for c, p in self._places.items()}
        drawn = {c: self._draw(c, place) for c, place in self._places.items()}
        rows = [row for turns in drawn.values() for _, row in turns]
        step = Step(
            [batch for c, turns in drawn.items() for batch in self._batches.make(c, turns)],
            {c: sum(row.num_tokens for _, row in turns) for c, turns in drawn.items()},
            sum(row.num_images for row in rows),
            hashlib.sha256(b"".join(row.digest for row in rows)).hexdigest(),
            [one for row in rows for one in row.skipped],
        )
        return step, self._step, self._places

    def _draw(self, corpus: str, place: Place) -> list[tuple[int, Drawn]]:
        """Draw turns until the corpus has given its share since the start of the run; those that gave no row too.

        Raises: IntegrityError when not one of its samples can be read.
        """
        wanted = round(self._step * self._wanted[corpus])
        turns: list[tuple[int, Drawn]] = []
        num_empty = 0
        while place.num_given < wanted:
            row = self._rows.take(corpus, place.num_turns)
            turns.append((place.num_turns, row))
            place.cursors[place.num_turns % len(place.cursors)] = row.cursor
            place.num_turns += 1
            place.num_given += self._given(corpus, row)
            num_empty = 0 if row.num_tokens else num_empty + 1
            if num_empty == len(place.cursors):
                raise IntegrityError(f"no sample of {corpus} can be read; write the shards again")
        return turns

    def _given(self, corpus: str, row: Drawn) -> int:
        if not self._by_sequences:
            return row.num_tokens
        return min(1, row.num_tokens) if corpus in ROWS else row.num_stretches
