"""The order in which a stream reads its samples in one epoch: blocks of neighbours in a random order, each shuffled.

Shards are shuffled already, so blocks lose nothing of chance; and a stream, of which there are thousands, holds the
index of one block instead of an order of all its samples.
"""

import numpy as np
import numpy.typing as npt

from schemas.ids import digest

BLOCK = 256  # samples


class Order:
    """One epoch of a stream that owns samples `owned`: a pure function of them, the seed and the epoch."""

    def __init__(self, owned: range, seed: str, epoch: int) -> None:
        self.epoch = epoch
        self._seed = int(digest(seed, str(epoch)), 16)
        num_blocks = -(-len(owned) // BLOCK)
        bounds = np.asarray([owned.start + len(owned) * i // num_blocks for i in range(num_blocks + 1)])
        turn = np.random.default_rng(self._seed).permutation(num_blocks)
        self._firsts, self._ends = bounds[turn], bounds[turn + 1]
        self._passed = np.cumsum(self._ends - self._firsts)

    def block(self, position: int) -> tuple[int, npt.NDArray[np.int64]]:
        """Return where in the epoch the block around a position starts, and the block's samples in their order."""
        number = int(np.searchsorted(self._passed, position, side="right"))
        first, end = int(self._firsts[number]), int(self._ends[number])
        samples = np.random.default_rng((self._seed, number)).permutation(np.arange(first, end))
        return int(self._passed[number]) - (end - first), samples
