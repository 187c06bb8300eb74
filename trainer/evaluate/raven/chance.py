"""Seeded draws that no release of Python or numpy changes: a set of matrices is the same everywhere, for ever."""

from collections.abc import Sequence
from typing import TypeVar

from schemas.ids import digest

T = TypeVar("T")


class Chance:
    """Draws from a seed, one after the other."""

    def __init__(self, seed: str) -> None:
        self._seed, self._num_drawn = seed, 0

    def pick(self, values: Sequence[T]) -> T:
        """Return one of the values, each with the same chance."""
        self._num_drawn += 1
        return values[int(digest("raven", self._seed, str(self._num_drawn)), 16) % len(values)]

    def sample(self, values: Sequence[T], number: int) -> list[T]:
        """Return so many of the values, none twice, in a random order."""
        left = list(values)
        return [left.pop(self.pick(range(len(left)))) for _ in range(number)]
