"""Rules of a row, one attribute each: what its last cell is, given the others, and rows that obey.

The same rule, with the same step, turn or values, holds in every row of a matrix.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Protocol

from trainer.evaluate.raven.cells import NUM_PLACES, VALUES
from trainer.evaluate.raven.chance import Chance

ORDERED = ("size", "shade", "number")
MOTIONS = ("turn", "mirror", "shift")
_RING = (0, 1, 2, 5, 8, 7, 6, 3)  # the outer places, clockwise


class Rule(Protocol):
    """What makes a row of its first cells. Values are of one attribute."""

    def complete(self, given: Sequence[int]) -> int | None:
        """Return the last cell of a row; None when the others break the rule, or nothing that can be drawn follows."""

    def row(self, chance: Chance, values: Sequence[int], side: int) -> list[int] | None:
        """Draw a row that obeys, from these values where the rule is free; None when the draw cannot go on."""


def obeys(rule: Rule, row: Sequence[int]) -> bool:
    """Say whether a whole row obeys a rule."""
    return rule.complete(row[:-1]) == row[-1]


@dataclass(frozen=True)
class Following:
    """Each cell follows from the one before."""

    follow: Callable[[int], int | None]

    def complete(self, given: Sequence[int]) -> int | None:
        return self.follow(given[-1]) if all(self.follow(a) == b for a, b in pairwise(given)) else None

    def row(self, chance: Chance, values: Sequence[int], side: int) -> list[int] | None:
        row = [chance.pick(values)]
        while len(row) < side:
            after = self.follow(row[-1])
            if after is None:
                return None
            row.append(after)
        return row


@dataclass(frozen=True)
class Combining:
    """The third cell is made of the first two."""

    combine: Callable[[int, int], int]
    values: range

    def complete(self, given: Sequence[int]) -> int | None:
        made = self.combine(*given)
        return made if made in self.values else None

    def row(self, chance: Chance, values: Sequence[int], side: int) -> list[int] | None:
        first = [chance.pick(values) for _ in range(2)]
        last = self.complete(first)
        return None if last is None else [*first, last]


@dataclass(frozen=True)
class Distributing:
    """Each of some values stands once in every row."""

    values: frozenset[int]

    def complete(self, given: Sequence[int]) -> int | None:
        left = self.values.difference(given)
        return min(left) if len(left) == 1 and self.values.issuperset(given) else None

    def row(self, chance: Chance, values: Sequence[int], side: int) -> list[int] | None:
        return chance.sample(values, side)


def rules_of(attribute: str, side: int, values: Sequence[int]) -> dict[str, Sequence[Rule]]:
    """Return every rule that rows of an attribute can obey, by name; the values are those that would be distributed."""
    named: dict[str, Sequence[Rule]] = {**_fixed(attribute, side)}
    if len(set(values)) == side:
        named["distribute"] = [Distributing(frozenset(values))]
    return named


@cache
def _fixed(attribute: str, side: int) -> dict[str, list[Rule]]:
    named: dict[str, list[Rule]] = {"constant": [Following(lambda value: value)]}
    if attribute in ORDERED:
        named["progression"] = [_progression(step, VALUES[attribute]) for step in (-2, -1, 1, 2)]
    if attribute == "position":
        named |= {name: [_motion(m) for m in motions(name)] for name in MOTIONS}
    combining: dict[str, Callable[[int, int], int]] = {}
    if attribute == "number":
        combining = {"sum": operator.add, "difference": operator.sub}
    elif attribute == "position":
        combining = {"and": operator.and_, "or": operator.or_, "xor": operator.xor, "without": lambda a, b: a & ~b}
    if side == 3:
        named |= {name: [Combining(combine, VALUES[attribute])] for name, combine in combining.items()}
    return named


def _progression(step: int, values: range) -> Rule:
    return Following(lambda value: value + step if value + step in values else None)


def _motion(moved: tuple[int, ...]) -> Rule:
    """A motion that nobody sees, as figures stand evenly about the middle, explains nothing."""
    return Following(lambda places: after if (after := move(places, moved)) != places else None)


def move(places: int, moved: tuple[int, ...]) -> int:
    """Return a set of places after a motion."""
    return sum(1 << moved[place] for place in range(NUM_PLACES) if places >> place & 1)


def motions(name: str) -> list[tuple[int, ...]]:
    """Return the motions of a name: for each place, where a figure on it goes."""
    if name == "turn":  # on the ring; the middle stays
        after = [dict(zip(_RING, _RING[step:] + _RING[:step], strict=True)) for step in range(1, 8)]
        return [tuple(turned.get(place, place) for place in range(NUM_PLACES)) for turned in after]
    rows_columns = [divmod(place, 3) for place in range(NUM_PLACES)]
    if name == "mirror":
        return [tuple(3 * r + 2 - c for r, c in rows_columns), tuple(3 * (2 - r) + c for r, c in rows_columns)]
    steps = [(down, right) for down in range(3) for right in range(3) if down or right]
    return [tuple((r + down) % 3 * 3 + (c + right) % 3 for r, c in rows_columns) for down, right in steps]
