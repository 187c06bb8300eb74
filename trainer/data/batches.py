"""Steps and their batches: rows drawn until each corpus has given its share, divided over the processes."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Protocol

import numpy as np
import torch
from open_clip.transform import PreprocessCfg

from schemas.errors import IntegrityError, RecipeError
from trainer.config import TrainConfig
from trainer.data.packing import IGNORED, PackedRow
from trainer.data.shards import Shards
from trainer.data.streams import Cursor, Framing, RowSource, SampledRow, Skipped
from trainer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of the pixels that the tower was made for, by channel, of values from 0 to 1."""

    mean_C: tuple[float, ...]
    std_C: tuple[float, ...]


@dataclass(frozen=True)
class MicroBatch:
    """What one process puts through the model at a time, all of one corpus."""

    corpus: str
    tokens_BT: torch.Tensor  # int64
    image_mask_BT: torch.Tensor  # bool
    segment_ids_BT: torch.Tensor  # int64
    targets_BT: torch.Tensor  # int64
    bytes_IHWC: torch.Tensor  # uint8; one black image where the rows hold none, so that the tower always runs
    scale: Scale

    @property
    def num_targets(self) -> int:
        return int((self.targets_BT != IGNORED).sum())

    @property
    def pixels_ICHW(self) -> torch.Tensor:
        """The images as float32, normalised on the device where they lie: a quarter of the bytes go there.

        Equal to torchvision's ToTensor and Normalize to the last bit.
        """
        numbers = self.bytes_IHWC.permute(0, 3, 1, 2).contiguous().float().div_(255)
        mean, std = (numbers.new_tensor(v).view(1, -1, 1, 1) for v in (self.scale.mean_C, self.scale.std_C))
        return numbers.sub_(mean).div_(std)

    def to(self, device: torch.device) -> "MicroBatch":
        names = ("tokens_BT", "image_mask_BT", "segment_ids_BT", "targets_BT", "bytes_IHWC")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


class Batches:
    """Makes the batches of one of `world` processes; `most` rows stand in one."""

    def __init__(self, preprocess: PreprocessCfg, length: int, most: int, rank: int, world: int) -> None:
        self.framing = framing(preprocess)
        self._scale = Scale(tuple(preprocess.mean), tuple(preprocess.std))
        self._empty_4T = PackedRow.empty(length).columns()
        self._most, self._rank, self._world = most, rank, world

    def make(self, corpus: str, turns: Sequence[tuple[int, SampledRow]]) -> Iterator[MicroBatch]:
        """Make the batches of what a corpus gives to a step: as many, and of as many rows, on every process."""
        largest = max(Counter(turn % self._world for turn, _ in turns).values(), default=0)
        mine = [drawn for turn, drawn in turns if turn % self._world == self._rank]
        for first in range(0, largest, self._most):
            num_rows = min(self._most, largest - first)
            part = mine[first : first + num_rows]
            rows = [d.columns_4T for d in part if d.columns_4T is not None]
            rows += [self._empty_4T] * (num_rows - len(rows))
            images = [d.pixels_IHWC for d in part if d.pixels_IHWC is not None and len(d.pixels_IHWC)]
            side = self.framing.side
            yield self._batch(
                corpus, np.stack(rows), np.concatenate(images or [np.zeros((1, side, side, 3), np.uint8)])
            )

    def _batch(self, corpus: str, rows_B4T: np.ndarray, bytes_IHWC: np.ndarray) -> MicroBatch:
        tokens, slots, segments, targets = torch.from_numpy(rows_B4T).unbind(1)
        return MicroBatch(
            corpus,
            tokens.long(),
            slots.bool(),
            segments.long(),
            targets.long(),
            torch.from_numpy(bytes_IHWC),
            self._scale,
        )


def framing(preprocess: PreprocessCfg) -> Framing:
    """Say how a tower's own preprocessing cuts its images.

    Raises: RecipeError when it is none that this loader knows.
    """
    size = preprocess.size if isinstance(preprocess.size, int) else preprocess.size[0]
    wanted = (preprocess.size in (size, (size, size), [size, size]), preprocess.mode == "RGB")
    if not all(wanted) or preprocess.resize_mode == "longest" or preprocess.interpolation == "random":
        raise RecipeError(f"vision.model prepares images as {preprocess}, which the loader does not know; name another")
    return Framing(size, preprocess.resize_mode == "squash", preprocess.interpolation == "bicubic")


ROWS = ("text", "interleaved")  # whose sequences are packed rows; of others each document is one


class Rows(Protocol):
    """The source itself, or the workers that hold copies of it."""

    def take(self, corpus: str, turn: int) -> SampledRow:
        """Return what a turn gave."""


@dataclass(frozen=True)
class TrainStep:
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
class StreamState:
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
        places: dict[str, StreamState],
        by_sequences: bool = False,
    ) -> None:
        """Go on after `step` steps, with corpora at `places`.

        `wanted` are the tokens that each gives to a step, or the sequences: rows of text and of interleaved documents,
        documents of other corpora.
        """
        self._rows, self._batches, self._wanted, self._by_sequences = rows, batches, wanted, by_sequences
        self._step, self._places = step, places

    def __iter__(self) -> Iterator[tuple[TrainStep, int, dict[str, StreamState]]]:
        return self

    def __next__(self) -> tuple[TrainStep, int, dict[str, StreamState]]:
        self._step += 1
        self._places = {c: StreamState(list(p.cursors), p.num_turns, p.num_given) for c, p in self._places.items()}
        drawn = {c: self._draw(c, place) for c, place in self._places.items()}
        rows = [row for turns in drawn.values() for _, row in turns]
        step = TrainStep(
            [batch for c, turns in drawn.items() for batch in self._batches.make(c, turns)],
            {c: sum(row.num_tokens for _, row in turns) for c, turns in drawn.items()},
            sum(row.num_images for row in rows),
            hashlib.sha256(b"".join(row.digest for row in rows)).hexdigest(),
            [one for row in rows for one in row.skipped],
        )
        return step, self._step, self._places

    def _draw(self, corpus: str, place: StreamState) -> list[tuple[int, SampledRow]]:
        """Draw turns until the corpus has given its share since the start of the run; those that gave no row too.

        Raises: IntegrityError when not one of its samples can be read.
        """
        wanted = round(self._step * self._wanted[corpus])
        turns: list[tuple[int, SampledRow]] = []
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

    def _given(self, corpus: str, row: SampledRow) -> int:
        if not self._by_sequences:
            return row.num_tokens
        return min(1, row.num_tokens) if corpus in ROWS else row.num_segments


def validation(
    shards: Shards, tokenizer: Tokenizer, config: TrainConfig, preprocess: PreprocessCfg, rank: int, world: int
) -> Iterator[MicroBatch]:
    """Yield one process's part of `data.validation_rows` rows of each corpus, or of all that it holds.

    Every process gets as many batches, of the same corpora in the same order; the rows are the same for any `world`,
    and at every call. Decoded in this process, a batch at a time: it waits for them, and holds no more.
    """
    data = config.data
    batches = Batches(preprocess, data.sequence_length, data.rows_per_micro_step, rank, world)
    source = RowSource(shards, tokenizer, config, batches.framing, rank, world, once=True)
    mixed = (data.mixture if data.sequences is None else data.sequences).model_dump()
    for corpus in (c for c, share in mixed.items() if share and len(shards.readable.get(c, ()))):
        rows = _rows(source, corpus, data.validation_rows)
        while of_a_batch := list(islice(rows, world * data.rows_per_micro_step)):
            yield from batches.make(corpus, of_a_batch)


def _rows(source: RowSource, corpus: str, most: int) -> Iterator[tuple[int, SampledRow]]:
    turns = ((turn, source.take(corpus, turn)) for turn in range(most))
    return takewhile(lambda drawn: drawn[1].num_tokens, turns)
