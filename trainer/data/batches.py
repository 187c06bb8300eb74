"""Batches: at every step the same rows for the same shards and seed, shared out evenly over the processes.

The mixture counts tokens: a corpus gives rows until it has given its share of all tokens so far. At each micro-step all
processes work on the same corpus, and a process that runs out of rows gets empty ones, so none ever waits for another.
Letters: B rows of a micro-step, T positions, I images, C channels, H and W pixels.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from open_clip.transform import PreprocessCfg

from schemas.errors import IntegrityError, RecipeError
from trainer import formats
from trainer.config import TrainConfig
from trainer.data.images import Decoder
from trainer.data.packing import IGNORED, Row
from trainer.data.shards import Corpus, Sample, Shards
from trainer.data.streams import Rows, Skipped
from trainer.tokenizer import Tokenizer

STATE_VERSION = 1


@dataclass(frozen=True)
class MicroBatch:
    """What one process puts through the model at a time, all of one corpus."""

    corpus: str
    tokens_BT: torch.Tensor  # int64
    slots_BT: torch.Tensor  # bool
    stretches_BT: torch.Tensor  # int64
    targets_BT: torch.Tensor  # int64
    pixels_ICHW: torch.Tensor  # float32; one blank image where the rows hold none, so that the tower always runs

    @property
    def num_targets(self) -> int:
        return int((self.targets_BT != IGNORED).sum())

    def to(self, device: torch.device) -> "MicroBatch":
        tensors = (self.tokens_BT, self.slots_BT, self.stretches_BT, self.targets_BT, self.pixels_ICHW)
        return MicroBatch(self.corpus, *(t.to(device, non_blocking=True) for t in tensors))


@dataclass(frozen=True)
class Step:
    """One process's part of a step, with what is the same for all."""

    micro_batches: list[MicroBatch]
    num_tokens: dict[str, int]
    """Tokens of the whole step for each corpus, padding not counted."""
    num_images: int
    digest: str
    """SHA-256 of all rows of the step, those of other processes included."""


class Loader:
    """An endless iterator over steps.

    Every process draws every row, which costs it the tokenisation, and decodes the images of its own rows alone.
    """

    def __init__(
        self,
        shards: Shards,
        tokenizer: Tokenizer,
        config: TrainConfig,
        preprocess: PreprocessCfg,
        rank: int,
        world: int,
    ) -> None:
        self._shards, self._tokenizer, self._config = shards, tokenizer, config
        self._rank, self._world = rank, world
        self._decoder = Decoder(preprocess)
        self._step = 0
        self.skipped = Skipped()
        shares = {c: s for c, s in config.data.mixture.model_dump().items() if s > 0}
        present = {c: s for c, s in shares.items() if len(shards.corpora[c])}
        if not present:
            raise RecipeError(f"the shards hold no sample of: {', '.join(shares)}; see data.mixture")
        self.left_out = sorted(shares.keys() - present.keys())
        self._rows = {
            c: Rows(shards.corpora[c], config.data.streams, config.seed, self._format, self.skipped) for c in present
        }
        self.shares = {c: s / sum(present.values()) for c, s in present.items()}

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        self._step += 1
        data = self._config.data
        drawn = {
            corpus: self._rows[corpus].draw(round(self._step * data.tokens_per_step * share), data.sequence_length)
            for corpus, share in self.shares.items()
        }
        digest = _digest(drawn)
        micro_batches = [batch for corpus, rows in drawn.items() for batch in self._micro_batches(corpus, rows)]
        return Step(
            micro_batches,
            {corpus: sum(row.num_tokens for row in rows) for corpus, rows in drawn.items()},
            sum(len(row.images) for rows in drawn.values() for row in rows),
            digest,
        )

    def state(self) -> dict[str, Any]:
        """Return where the loader stands, as plain JSON values, the same on every process."""
        return {
            "version": STATE_VERSION,
            "shards": self._shards.fingerprint,
            "tokenizer": self._tokenizer.sha256,
            "step": self._step,
            "corpora": {corpus: rows.state() for corpus, rows in self._rows.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint left off, on any number of processes.

        Raises: RecipeError when it was made from other shards, with another tokenizer or by another version.
        """
        for name, value in {**self.state(), "step": state["step"]}.items():
            if name in ("version", "shards", "tokenizer") and state[name] != value:
                raise RecipeError(f"the checkpoint was made with another {name}; --overwrite starts anew")
        self._step = state["step"]
        for corpus, rows in self._rows.items():
            rows.load_state(state["corpora"][corpus])

    def _format(self, corpus: Corpus, sample: Sample) -> formats.Document:
        slots, length = self._config.vision.latents, self._config.data.sequence_length
        if corpus.name == "text":
            return formats.text(self._tokenizer, corpus.text(sample))
        if corpus.name == "caption":
            return formats.caption(self._tokenizer, corpus.text(sample), "jpg", slots, length)
        return formats.interleaved(self._tokenizer, corpus.blocks(sample), slots)

    def _micro_batches(self, corpus: str, rows: list[Row]) -> Iterator[MicroBatch]:
        """Share rows out: of each micro-step's rows, every process takes the next few, and all take as many."""
        most, length = self._config.data.rows_per_micro_step, self._config.data.sequence_length
        for first in range(0, len(rows), most * self._world):
            share = min(most, math.ceil((len(rows) - first) / self._world))
            mine = rows[first + self._rank * share : first + (self._rank + 1) * share]
            mine += [Row.empty(length) for _ in range(share - len(mine))]
            pixels = [self._pixels(corpus, row) for row in mine]
            yield MicroBatch(
                corpus,
                _stack([row.tokens_T for row in mine], torch.int64),
                _stack([row.slots_T for row in mine], torch.bool),
                _stack([row.stretches_T for row in mine], torch.int64),
                _stack([row.targets_T for row in mine], torch.int64),
                torch.stack([image for images in pixels for image in images] or [torch.zeros(self._decoder.shape)]),
            )

    def _pixels(self, corpus: str, row: Row) -> list[torch.Tensor]:
        """Decode a row's images. One that is broken becomes blank, and nothing is predicted in its stretch."""
        pixels = []
        for image in row.images:
            try:
                data = self._shards.corpora[corpus].read(image.sample, image.member)
                pixels.append(self._decoder.decode(data))
            except IntegrityError as error:
                key = f"{image.sample.key}.{image.member}"
                self.skipped.add(key, f"{key} of {image.sample.tar}: {error}")
                row.silence(image.stretch)
                pixels.append(torch.zeros(self._decoder.shape))
        return pixels


def _stack(arrays: list[Any], dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).to(dtype)


def _digest(drawn: dict[str, list[Row]]) -> str:
    h = hashlib.sha256()
    for corpus, rows in drawn.items():
        for row in rows:
            for array in (row.tokens_T, row.slots_T, row.stretches_T, row.targets_T):
                h.update(array.tobytes())
            h.update(repr((corpus, [(i.sample.key, i.member, i.stretch) for i in row.images])).encode())
    return h.hexdigest()
