"""Draw a matrix from a seed: rules by attribute, one right answer, and six candidates that tell nothing by themselves.

One answer, by construction: whatever rule of rules.py explains what is shown of an attribute, along the rows or down
the columns, says the same of the missing cell. So every other candidate breaks a rule.

No short cut, by construction: the candidates are all pairs of two values of one attribute and three of another, so none
is more like the others than any other is; and the values are the answers of two or three matrices drawn alike, of which
the first is shown. What is drawn alike is told apart by nothing but the matrix (the flaw of RAVEN that I-RAVEN mends).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, product

from trainer.evaluate.raven.cells import LAYOUTS, VALUES, Cell
from trainer.evaluate.raven.chance import Chance
from trainer.evaluate.raven.rules import MOTIONS, motions, move, obeys, rules_of

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
