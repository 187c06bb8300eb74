"""Raven's matrices (arXiv 2302.14045, section 4.1) drawn from a seed: cells, rules, and six candidates."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise, product
from typing import Protocol, TypeVar

from schemas.tables import digest

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


SHAPES = ("circle", "triangle", "square", "hexagon", "cross", "star")
NUM_SIZES = 4
NUM_SHADES = 4
NUM_PLACES = 9

VALUES = {
    "shape": range(len(SHAPES)),
    "size": range(NUM_SIZES),
    "shade": range(NUM_SHADES),
    "number": range(1, NUM_PLACES + 1),
    "position": range(1, 1 << NUM_PLACES),
}
"""What each attribute can be. A matrix has a rule either of number or of position, never of both."""


def places_of(*places: int) -> int:
    """Return a set of places."""
    return sum(1 << place for place in places)


LAYOUTS = {
    1: places_of(4),
    2: places_of(0, 8),
    3: places_of(0, 4, 8),
    4: places_of(0, 2, 6, 8),
    5: places_of(0, 2, 4, 6, 8),
    6: places_of(0, 2, 3, 5, 6, 8),
    7: places_of(0, 2, 3, 4, 5, 6, 8),
    8: places_of(0, 1, 2, 3, 5, 6, 7, 8),
    9: places_of(*range(9)),
}
"""Where figures stand when their number alone counts: as on dice."""


@dataclass(frozen=True)
class Cell:
    """A cell of a matrix, or a candidate for the missing one."""

    shape: int
    """Of SHAPES."""
    size: int
    """0 is the smallest."""
    shade: int
    """0 is white, the last is black."""
    places: int
    """Where figures stand; at least one does."""


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


SIDES = (2, 3)
NUM_CANDIDATES = 6

Grid = list[list[int]]  # rows of values of one attribute

_NUMBERS = {places: number for number, places in LAYOUTS.items()}
_DRAWN = {**VALUES, "position": [places for places in VALUES["position"] if 2 <= places.bit_count() <= 5]}


@dataclass(frozen=True)
class Matrix:
    """A matrix without its last cell, and what may stand there."""

    side: int
    shown: tuple[Cell, ...]
    """All cells but the last, row by row."""
    candidates: tuple[Cell, ...]
    answer: int
    """Which candidate is right, from 0."""
    rules: dict[str, str]
    """The rule of each attribute that varies; the others are the same in all cells."""


def draw_matrix(seed: str, side: int | None = None) -> Matrix:
    """Draw a matrix, two by two or three by three."""
    chance = Chance(seed)
    side = side or chance.pick(SIDES)
    attributes = ["shape", "size", "shade", chance.pick(["number", "position"])]
    varied = chance.sample(attributes, chance.pick([2, 3]))
    rules = {a: chance.pick(_names(a, side)) for a in varied}
    grids: dict[str, list[Grid]] = {}
    for attribute in attributes:
        if attribute in varied:
            num_alike = {varied[0]: 3, varied[1]: 2}.get(attribute, 1)
            grids[attribute] = _alike(chance, attribute, rules[attribute], side, num_alike)
        else:
            grids[attribute] = [[[chance.pick(_DRAWN[attribute])] * side] * side]
    cells = [_cell({a: grids[a][0][i][j] for a in attributes}) for i, j in product(range(side), repeat=2)]
    answers = product(*([grid[-1][-1] for grid in grids[a]] for a in attributes))
    drawn = [_cell(dict(zip(attributes, answer, strict=True))) for answer in answers]
    candidates = chance.sample(drawn, NUM_CANDIDATES)
    return Matrix(side, tuple(cells[:-1]), tuple(candidates), candidates.index(cells[-1]), rules)


def _names(attribute: str, side: int) -> list[str]:
    return list(rules_of(attribute, side, _DRAWN[attribute][:side]))


def _cell(values: dict[str, int]) -> Cell:
    places = values["position"] if "position" in values else LAYOUTS[values["number"]]
    return Cell(values["shape"], values["size"], values["shade"], places)


def _alike(chance: Chance, attribute: str, name: str, side: int, number: int) -> list[Grid]:
    """Draw grids by the same rule, from the same values, until all answers differ; all anew, as all are to be alike."""
    values = _values(chance, attribute, name)
    while True:
        grids = [_grid(chance, attribute, name, side, values) for _ in range(number)]
        if len({grid[-1][-1] for grid in grids}) == number:
            return grids


def _values(chance: Chance, attribute: str, name: str) -> Sequence[int]:
    """Draw from what values a matrix and its wrong candidates are made: few, so that these look as if they belonged."""
    if name in ("constant", "distribute"):
        return chance.sample(_DRAWN[attribute], 3)
    if name not in MOTIONS:
        return _DRAWN[attribute]
    while True:
        found = {chance.pick(_DRAWN[attribute])}
        while (more := found | {move(p, m) for p in found for m in motions(name)}) != found:
            found = more
        if len(found) > 3:
            return sorted(found)


def _grid(chance: Chance, attribute: str, name: str, side: int, values: Sequence[int]) -> Grid:
    """Draw rows that obey a rule until what is shown of them varies and allows one answer."""
    while True:
        used = chance.sample(values, side) if name in ("constant", "distribute") else values
        rule = chance.pick(rules_of(attribute, side, used)[name])
        rows = [rule.row(chance, used, side) for _ in range(side)]
        grid = [row for row in rows if row is not None]
        if len(grid) == side and len({*_shown(grid)}) > 1 and is_unique(attribute, grid):
            return grid


def is_unique(attribute: str, grid: Grid) -> bool:
    """Say whether all rules that explain what a grid shows say of its last cell what it holds, and some rule does."""
    if attribute not in ("number", "position"):
        return _said(attribute, grid) == {grid[-1][-1]}
    layouts = [[LAYOUTS[n] for n in row] for row in grid] if attribute == "number" else grid
    counts = [[places.bit_count() for places in row] for row in layouts]
    said, said_numbers = _said("position", layouts), _said("number", counts)
    if all(places in _NUMBERS for places in _shown(layouts)):
        said |= {LAYOUTS[number] for number in said_numbers}
    return said == {layouts[-1][-1]} and said_numbers <= {counts[-1][-1]}  # who counts is not misled


def _shown(grid: Grid) -> list[int]:
    return list(chain.from_iterable(grid))[:-1]


def _said(attribute: str, grid: Grid) -> set[int]:
    """Return what the rules that explain the whole rows, or the whole columns, say of the last cell."""
    said: set[int] = set()
    for lines in (grid, [list(column) for column in zip(*grid, strict=True)]):
        *whole, last = lines
        for rules in rules_of(attribute, len(grid), whole[0]).values():
            said |= {
                value
                for rule in rules
                if all(obeys(rule, line) for line in whole) and (value := rule.complete(last[:-1])) is not None
            }
    return said
