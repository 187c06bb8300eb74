"""Generation of Raven's matrices from a seed: cells, rules, and six candidates."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise, product
from typing import Protocol, TypeVar

from schemas.tables import digest

T = TypeVar("T")


class HashRandom:
    """Random choices by hashes of a seed, the same on every machine."""

    def __init__(self, seed: str) -> None:
        self._seed, self._num_choices = seed, 0

    def choice(self, values: Sequence[T]) -> T:
        """Return one of the values, each with the same probability."""
        self._num_choices += 1
        return values[int(digest("raven", self._seed, str(self._num_choices)), 16) % len(values)]

    def sample(self, values: Sequence[T], number: int) -> list[T]:
        """Return `number` distinct values in random order."""
        left = list(values)
        return [left.pop(self.choice(range(len(left)))) for _ in range(number)]


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
"""The values of each attribute. A matrix varies the number or the position of figures, never both."""


def places_of(*places: int) -> int:
    """Return a set of places as a bit mask."""
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
"""The places of figures when only their number matters: as on dice."""


@dataclass(frozen=True)
class Cell:
    """A cell of a matrix, or a candidate for the missing one."""

    shape: int
    """Index in SHAPES."""
    size: int
    """0 is the smallest."""
    shade: int
    """0 is white, the last is black."""
    places: int
    """The places of the figures, at least one, as a bit mask."""


ORDERED = ("size", "shade", "number")
MOTIONS = ("turn", "mirror", "shift")
_RING = (0, 1, 2, 5, 8, 7, 6, 3)  # the outer places, clockwise


class Rule(Protocol):
    """A rule for the values of one attribute in a row."""

    def complete(self, given: Sequence[int]) -> int | None:
        """Return the last value of a row; None when the others break the rule, or the result is not a valid value."""

    def row(self, random: HashRandom, values: Sequence[int], side: int) -> list[int] | None:
        """Sample a row that obeys the rule, starting from these values; None when the sampled row has no completion."""


def obeys(rule: Rule, row: Sequence[int]) -> bool:
    """Return whether a complete row obeys a rule."""
    return rule.complete(row[:-1]) == row[-1]


@dataclass(frozen=True)
class Sequential:
    """Each value is a function of the previous one."""

    following: Callable[[int], int | None]

    def complete(self, given: Sequence[int]) -> int | None:
        return self.following(given[-1]) if all(self.following(a) == b for a, b in pairwise(given)) else None

    def row(self, random: HashRandom, values: Sequence[int], side: int) -> list[int] | None:
        row = [random.choice(values)]
        while len(row) < side:
            after = self.following(row[-1])
            if after is None:
                return None
            row.append(after)
        return row


@dataclass(frozen=True)
class Combination:
    """The third value is a function of the first two."""

    combine: Callable[[int, int], int]
    values: range

    def complete(self, given: Sequence[int]) -> int | None:
        third = self.combine(*given)
        return third if third in self.values else None

    def row(self, random: HashRandom, values: Sequence[int], side: int) -> list[int] | None:
        first = [random.choice(values) for _ in range(2)]
        last = self.complete(first)
        return None if last is None else [*first, last]


@dataclass(frozen=True)
class DistributionRule:
    """Every row holds each of the values once."""

    values: frozenset[int]

    def complete(self, given: Sequence[int]) -> int | None:
        left = self.values.difference(given)
        return min(left) if len(left) == 1 and self.values.issuperset(given) else None

    def row(self, random: HashRandom, values: Sequence[int], side: int) -> list[int] | None:
        return random.sample(values, side)


def rules_of(attribute: str, side: int, values: Sequence[int]) -> dict[str, Sequence[Rule]]:
    """Return every rule for rows of an attribute, by name; `values` are those of the rule `distribute`."""
    named: dict[str, Sequence[Rule]] = {**_fixed(attribute, side)}
    if len(set(values)) == side:
        named["distribute"] = [DistributionRule(frozenset(values))]
    return named


@cache
def _fixed(attribute: str, side: int) -> dict[str, list[Rule]]:
    named: dict[str, list[Rule]] = {"constant": [Sequential(lambda value: value)]}
    if attribute in ORDERED:
        named["progression"] = [_progression(step, VALUES[attribute]) for step in (-2, -1, 1, 2)]
    if attribute == "position":
        named |= {name: [_motion(m) for m in motions(name)] for name in MOTIONS}
    combinations: dict[str, Callable[[int, int], int]] = {}
    if attribute == "number":
        combinations = {"sum": operator.add, "difference": operator.sub}
    elif attribute == "position":
        combinations = {"and": operator.and_, "or": operator.or_, "xor": operator.xor, "without": lambda a, b: a & ~b}
    if side == 3:
        named |= {name: [Combination(combine, VALUES[attribute])] for name, combine in combinations.items()}
    return named


def _progression(step: int, values: range) -> Rule:
    return Sequential(lambda value: value + step if value + step in values else None)


def _motion(moved: tuple[int, ...]) -> Rule:
    """A motion that leaves a symmetric set of places unchanged has no result."""
    return Sequential(lambda places: after if (after := move(places, moved)) != places else None)


def move(places: int, moved: tuple[int, ...]) -> int:
    """Return a set of places after a motion."""
    return sum(1 << moved[place] for place in range(NUM_PLACES) if places >> place & 1)


def motions(name: str) -> list[tuple[int, ...]]:
    """Return the motions of a name: the new place of each place."""
    if name == "turn":  # on the ring; the centre is fixed
        after = [dict(zip(_RING, _RING[step:] + _RING[:step], strict=True)) for step in range(1, 8)]
        return [tuple(rotated.get(place, place) for place in range(NUM_PLACES)) for rotated in after]
    rows_columns = [divmod(place, 3) for place in range(NUM_PLACES)]
    if name == "mirror":
        return [tuple(3 * r + 2 - c for r, c in rows_columns), tuple(3 * (2 - r) + c for r, c in rows_columns)]
    steps = [(down, right) for down in range(3) for right in range(3) if down or right]
    return [tuple((r + down) % 3 * 3 + (c + right) % 3 for r, c in rows_columns) for down, right in steps]


SIDES = (2, 3)
NUM_CANDIDATES = 6

Grid = list[list[int]]  # rows of values of one attribute

_NUMBERS = {places: number for number, places in LAYOUTS.items()}
_SAMPLED = {**VALUES, "position": [places for places in VALUES["position"] if 2 <= places.bit_count() <= 5]}


@dataclass(frozen=True)
class Matrix:
    """A matrix without its last cell, and the candidates for it."""

    side: int
    shown: tuple[Cell, ...]
    """All cells but the last, row by row."""
    candidates: tuple[Cell, ...]
    answer: int
    """Index of the correct candidate."""
    rules: dict[str, str]
    """The rule of each attribute that varies; the others are the same in all cells."""


def generate_matrix(seed: str, side: int | None = None) -> Matrix:
    """Generate a matrix with two or three rows and columns."""
    random = HashRandom(seed)
    side = side or random.choice(SIDES)
    attributes = ["shape", "size", "shade", random.choice(["number", "position"])]
    varied = random.sample(attributes, random.choice([2, 3]))
    rules = {a: random.choice(_names(a, side)) for a in varied}
    grids: dict[str, list[Grid]] = {}
    for attribute in attributes:
        if attribute in varied:
            num_grids = {varied[0]: 3, varied[1]: 2}.get(attribute, 1)  # the first, and those of wrong candidates
            grids[attribute] = _sample_grids(random, attribute, rules[attribute], side, num_grids)
        else:
            grids[attribute] = [[[random.choice(_SAMPLED[attribute])] * side] * side]
    cells = [_cell({a: grids[a][0][i][j] for a in attributes}) for i, j in product(range(side), repeat=2)]
    answers = product(*([grid[-1][-1] for grid in grids[a]] for a in attributes))
    cells_of_answers = [_cell(dict(zip(attributes, answer, strict=True))) for answer in answers]
    candidates = random.sample(cells_of_answers, NUM_CANDIDATES)
    return Matrix(side, tuple(cells[:-1]), tuple(candidates), candidates.index(cells[-1]), rules)


def _names(attribute: str, side: int) -> list[str]:
    return list(rules_of(attribute, side, _SAMPLED[attribute][:side]))


def _cell(values: dict[str, int]) -> Cell:
    places = values["position"] if "position" in values else LAYOUTS[values["number"]]
    return Cell(values["shape"], values["size"], values["shade"], places)


def _sample_grids(random: HashRandom, attribute: str, name: str, side: int, number: int) -> list[Grid]:
    """Sample grids with one rule and one set of values, all again until their last values differ.

    So the wrong candidates have the same distribution as the correct one.
    """
    values = _values(random, attribute, name)
    while True:
        grids = [_grid(random, attribute, name, side, values) for _ in range(number)]
        if len({grid[-1][-1] for grid in grids}) == number:
            return grids


def _values(random: HashRandom, attribute: str, name: str) -> Sequence[int]:
    """Sample the values of a matrix and its wrong candidates: few, so that the wrong ones look plausible."""
    if name in ("constant", "distribute"):
        return random.sample(_SAMPLED[attribute], 3)
    if name not in MOTIONS:
        return _SAMPLED[attribute]
    while True:
        found = {random.choice(_SAMPLED[attribute])}
        while (more := found | {move(p, m) for p in found for m in motions(name)}) != found:
            found = more
        if len(found) > 3:
            return sorted(found)


def _grid(random: HashRandom, attribute: str, name: str, side: int, values: Sequence[int]) -> Grid:
    """Sample rows that obey a rule until the shown values vary and have one completion."""
    while True:
        used = random.sample(values, side) if name in ("constant", "distribute") else values
        rule = random.choice(rules_of(attribute, side, used)[name])
        rows = [rule.row(random, used, side) for _ in range(side)]
        grid = [row for row in rows if row is not None]
        if len(grid) == side and len({*_shown(grid)}) > 1 and is_unique(attribute, grid):
            return grid


def is_unique(attribute: str, grid: Grid) -> bool:
    """Return whether the rules that the shown values follow predict the last value, and no other."""
    if attribute not in ("number", "position"):
        return _predictions(attribute, grid) == {grid[-1][-1]}
    layouts = [[LAYOUTS[n] for n in row] for row in grid] if attribute == "number" else grid
    counts = [[places.bit_count() for places in row] for row in layouts]
    positions, numbers = _predictions("position", layouts), _predictions("number", counts)
    if all(places in _NUMBERS for places in _shown(layouts)):
        positions |= {LAYOUTS[number] for number in numbers}
    return positions == {layouts[-1][-1]} and numbers <= {counts[-1][-1]}  # rules of the number must not contradict


def _shown(grid: Grid) -> list[int]:
    return list(chain.from_iterable(grid))[:-1]


def _predictions(attribute: str, grid: Grid) -> set[int]:
    """Return the last values that follow from rules which the complete rows, or the complete columns, obey."""
    found: set[int] = set()
    for lines in (grid, [list(column) for column in zip(*grid, strict=True)]):
        *complete, last = lines
        for rules in rules_of(attribute, len(grid), complete[0]).values():
            found |= {
                value
                for rule in rules
                if all(obeys(rule, line) for line in complete) and (value := rule.complete(last[:-1])) is not None
            }
    return found
