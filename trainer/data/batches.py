"""Steps and their batches: rows are sampled until each corpus reaches its quota, and divided over the processes.

Letters: B rows, T positions, I images, H and W pixels, C channels.
"""

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
    """Mean and standard deviation of each channel by which images are normalised, for values from 0 to 1."""

    mean_C: tuple[float, ...]
    std_C: tuple[float, ...]


@dataclass(frozen=True)
class MicroBatch:
    """The rows of one forward pass of one process, all from one corpus."""

    corpus: str
    tokens_BT: torch.Tensor  # int64
    image_mask_BT: torch.Tensor  # bool
    segment_ids_BT: torch.Tensor  # int64
    targets_BT: torch.Tensor  # int64
    bytes_IHWC: torch.Tensor  # uint8; one black image if the rows have none, so that the encoder always runs
    scale: Scale

    @property
    def num_targets(self) -> int:
        return int((self.targets_BT != IGNORED).sum())

    @property
    def pixels_ICHW(self) -> torch.Tensor:
        """The images as float32, normalised on their device, since copying uint8 takes a quarter of the time.

        Bit-identical to torchvision's ToTensor and Normalize.
        """
        values = self.bytes_IHWC.permute(0, 3, 1, 2).contiguous().float().div_(255)
        mean, std = (values.new_tensor(v).view(1, -1, 1, 1) for v in (self.scale.mean_C, self.scale.std_C))
        return values.sub_(mean).div_(std)

    def to(self, device: torch.device) -> "MicroBatch":
        names = ("tokens_BT", "image_mask_BT", "segment_ids_BT", "targets_BT", "bytes_IHWC")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


class Batches:
    """Makes the batches of one of `world` processes, of at most `max_rows` rows each."""

    def __init__(self, preprocess: PreprocessCfg, length: int, max_rows: int, rank: int, world: int) -> None:
        self.framing = framing(preprocess)
        self._scale = Scale(tuple(preprocess.mean), tuple(preprocess.std))
        self._empty_4T = PackedRow.empty(length).columns()
        self._max_rows, self._rank, self._world = max_rows, rank, world

    def make(self, corpus: str, sampled: Sequence[tuple[int, SampledRow]]) -> Iterator[MicroBatch]:
        """Yield the batches of a corpus's rows in a step. All processes get the same number, with the same sizes."""
        largest = max(Counter(index % self._world for index, _ in sampled).values(), default=0)
        own = [row for index, row in sampled if index % self._world == self._rank]
        for first in range(0, largest, self._max_rows):
            num_rows = min(self._max_rows, largest - first)
            part = own[first : first + num_rows]
            rows = [row.columns_4T for row in part if row.columns_4T is not None]
            rows += [self._empty_4T] * (num_rows - len(rows))
            images = [row.pixels_IHWC for row in part if row.pixels_IHWC is not None and len(row.pixels_IHWC)]
            side = self.framing.side
            yield self._batch(
                corpus, np.stack(rows), np.concatenate(images or [np.zeros((1, side, side, 3), np.uint8)])
            )

    def _batch(self, corpus: str, rows_B4T: np.ndarray, bytes_IHWC: np.ndarray) -> MicroBatch:
        tokens, image_mask, segment_ids, targets = torch.from_numpy(rows_B4T).unbind(1)
        return MicroBatch(
            corpus,
            tokens.long(),
            image_mask.bool(),
            segment_ids.long(),
            targets.long(),
            torch.from_numpy(bytes_IHWC),
            self._scale,
        )


def framing(preprocess: PreprocessCfg) -> Framing:
    """Return the resize and crop of a vision encoder's preprocessing.

    Raises: RecipeError when the loader does not support it.
    """
    size = preprocess.size if isinstance(preprocess.size, int) else preprocess.size[0]
    is_supported = preprocess.size in (size, (size, size), [size, size]) and preprocess.mode == "RGB"
    if not is_supported or preprocess.resize_mode == "longest" or preprocess.interpolation == "random":
        raise RecipeError(f"the loader does not support the images of vision.model ({preprocess}); choose another")
    return Framing(size, preprocess.resize_mode == "squash", preprocess.interpolation == "bicubic")


ROWS = ("text", "interleaved")  # corpora whose sequences are packed rows; in the others each document is a sequence


class Rows(Protocol):
    """A row source, or workers that hold copies of it."""

    def take(self, corpus: str, index: int) -> SampledRow:
        """Return the row of a corpus at an index of its sampling order."""


@dataclass(frozen=True)
class TrainStep:
    """One process's part of a step, and totals over all processes."""

    micro_batches: list[MicroBatch]
    num_tokens: dict[str, int]
    """Tokens of the whole step by corpus, without padding."""
    num_images: int
    digest: str
    """SHA-256 of all rows of the step, over all processes."""
    skipped: list[Skipped]
    """What could not be read for rows of this process. Each item is listed by one process only."""


@dataclass
class StreamState:
    """The reading position of a corpus."""

    cursors: list[Cursor]
    num_rows: int = 0
    """Rows sampled since the start of the run, empty ones included."""
    num_sampled: int = 0
    """Tokens, or sequences, sampled since the start of the run."""


class Steps:
    """Iterates over steps, each with its number and the state of the streams after it."""

    def __init__(
        self,
        rows: Rows,
        batches: Batches,
        quotas: dict[str, float],
        step: int,
        states: dict[str, StreamState],
        by_sequences: bool = False,
    ) -> None:
        """Continue after `step` steps, with the corpora at `states`.

        `quotas` are the tokens of each corpus in a step, or its sequences: rows of text and of interleaved documents,
        documents of other corpora.
        """
        self._rows, self._batches, self._quotas, self._by_sequences = rows, batches, quotas, by_sequences
        self._step, self._states = step, states

    def __iter__(self) -> Iterator[tuple[TrainStep, int, dict[str, StreamState]]]:
        return self

    def __next__(self) -> tuple[TrainStep, int, dict[str, StreamState]]:
        self._step += 1
        self._states = {c: StreamState(list(s.cursors), s.num_rows, s.num_sampled) for c, s in self._states.items()}
        sampled = {c: self._sample(c, state) for c, state in self._states.items()}
        rows = [row for of_corpus in sampled.values() for _, row in of_corpus]
        step = TrainStep(
            [batch for c, of_corpus in sampled.items() for batch in self._batches.make(c, of_corpus)],
            {c: sum(row.num_tokens for _, row in of_corpus) for c, of_corpus in sampled.items()},
            sum(row.num_images for row in rows),
            hashlib.sha256(b"".join(row.digest for row in rows)).hexdigest(),
            [one for row in rows for one in row.skipped],
        )
        return step, self._step, self._states

    def _sample(self, corpus: str, state: StreamState) -> list[tuple[int, SampledRow]]:
        """Sample rows, with their indices, until the corpus reaches its quota since the start of the run.

        Raises: IntegrityError when none of its samples can be read.
        """
        quota = round(self._step * self._quotas[corpus])
        sampled: list[tuple[int, SampledRow]] = []
        num_empty = 0
        while state.num_sampled < quota:
            row = self._rows.take(corpus, state.num_rows)
            sampled.append((state.num_rows, row))
            state.cursors[state.num_rows % len(state.cursors)] = row.cursor
            state.num_rows += 1
            state.num_sampled += self._amount(corpus, row)
            num_empty = 0 if row.num_tokens else num_empty + 1
            if num_empty == len(state.cursors):
                raise IntegrityError(f"no sample of {corpus} can be read; write the shards again")
        return sampled

    def _amount(self, corpus: str, row: SampledRow) -> int:
        """Return the tokens or the sequences of a row."""
        if not self._by_sequences:
            return row.num_tokens
        return min(1, row.num_tokens) if corpus in ROWS else row.num_segments


def validation(
    shards: Shards, tokenizer: Tokenizer, config: TrainConfig, preprocess: PreprocessCfg, rank: int, world: int
) -> Iterator[MicroBatch]:
    """Yield one process's batches of the first `data.validation_rows` rows of each corpus.

    All processes get the same number of batches, from the same corpora in the same order. The rows are the same for
    any `world` and at every call. Batches are decoded in this process, one at a time.
    """
    data = config.data
    batches = Batches(preprocess, data.sequence_length, data.rows_per_micro_step, rank, world)
    source = RowSource(shards, tokenizer, config, batches.framing, rank, world, once=True)
    mixed = (data.mixture if data.sequences is None else data.sequences).model_dump()
    for corpus in (c for c, share in mixed.items() if share and len(shards.readable.get(c, ()))):
        rows = _rows(source, corpus, data.validation_rows)
        while part := list(islice(rows, world * data.rows_per_micro_step)):
            yield from batches.make(corpus, part)


def _rows(source: RowSource, corpus: str, max_rows: int) -> Iterator[tuple[int, SampledRow]]:
    rows = ((index, source.take(corpus, index)) for index in range(max_rows))
    return takewhile(lambda sampled: sampled[1].num_tokens, rows)
