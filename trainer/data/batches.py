"""Batches: the rows of a step, shared out evenly over the processes.

At each micro-step all processes work on the same corpus, and one that runs out of rows gets empty ones, so that none
ever waits for another. Letters: B rows of a micro-step, T positions, I images, C channels, H and W pixels.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from open_clip.transform import PreprocessCfg

from schemas.errors import RecipeError
from trainer.data.images import Framing
from trainer.data.packing import IGNORED, Row
from trainer.data.source import Drawn


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
    slots_BT: torch.Tensor  # bool
    stretches_BT: torch.Tensor  # int64
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
        names = ("tokens_BT", "slots_BT", "stretches_BT", "targets_BT", "bytes_IHWC")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


class Batches:
    """Makes the batches of one of `world` processes; `most` rows stand in one."""

    def __init__(self, preprocess: PreprocessCfg, length: int, most: int, rank: int, world: int) -> None:
        self.framing = framing(preprocess)
        self._scale = Scale(tuple(preprocess.mean), tuple(preprocess.std))
        self._empty_4T = Row.empty(length).columns()
        self._most, self._rank, self._world = most, rank, world

    def make(self, corpus: str, turns: Sequence[tuple[int, Drawn]]) -> Iterator[MicroBatch]:
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
        tokens, slots, stretches, targets = torch.from_numpy(rows_B4T).unbind(1)
        return MicroBatch(
            corpus,
            tokens.long(),
            slots.bool(),
            stretches.long(),
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
