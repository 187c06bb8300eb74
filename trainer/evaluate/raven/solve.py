"""Solve a matrix by reading it, with laws of its own: nothing is shared with the rules that matrices are drawn by.

A candidate is explained when each attribute of the matrix, the candidate filled in, obeys one law in all its rows, or
one in all its columns.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from typing import Any

from schemas.errors import IntegrityError
from trainer.evaluate.raven.cells import LAYOUTS, Cell

Places = frozenset[tuple[int, int]]  # (x, y) about the middle: -1, 0, 1
Lines = Sequence[Sequence[Any]]
Law = Callable[[Lines], bool]

_EIGHTH = [(-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0)]


def solve(shown: Sequence[Cell], candidates: Sequence[Cell]) -> int:
    """Return which candidate, from 0, is the last cell of a matrix that is shown row by row.

    Raises: IntegrityError when no candidate is explained, or more than one.
    """
    found = explained(shown, candidates)
    if len(found) != 1:
        which = f"candidates {', '.join(map(str, found))} of a matrix are" if found else "no candidate of a matrix is"
        raise IntegrityError(f"{which} explained; one is to be")
    return found[0]


def explained(shown: Sequence[Cell], candidates: Sequence[Cell]) -> list[int]:
    """Return all candidates, from 0, that some laws explain."""
    return [i for i, candidate in enumerate(candidates) if _is_explained([*shown, candidate])]


def _is_explained(cells: Sequence[Cell]) -> bool:
    places = [_places(cell) for cell in cells]
    dice = all(cell.places == LAYOUTS[len(p)] for cell, p in zip(cells, places, strict=True))
    return (
        _obeys([cell.shape for cell in cells], [_same, _permuted])
        and _obeys([cell.size for cell in cells], [_same, _permuted, _even_steps])
        and _obeys([cell.shade for cell in cells], [_same, _permuted, _even_steps])
        and (
            _obeys(places, [_same, _permuted, _moved, *map(_third, _OF_PLACES)])
            or (dice and _obeys([len(p) for p in places], [_same, _permuted, _even_steps, *map(_third, _OF_NUMBERS)]))
        )
    )


def _places(cell: Cell) -> Places:
    return frozenset((p % 3 - 1, p // 3 - 1) for p in range(9) if cell.places & (1 << p))


def _obeys(values: Sequence[Any], laws: Iterable[Law]) -> bool:
    side = 2 if len(values) == 4 else 3
    rows = [values[i : i + side] for i in range(0, len(values), side)]
    columns = [values[i::side] for i in range(side)]
    return any(law(lines) for law in laws for lines in (rows, columns))


def _same(lines: Lines) -> bool:
    return all(value == line[0] for line in lines for value in line)


def _permuted(lines: Lines) -> bool:
    return len(set(lines[0])) == len(lines[0]) and all(set(line) == set(lines[0]) for line in lines)


def _even_steps(lines: Lines) -> bool:
    steps = {after - before for line in lines for before, after in pairwise(line)}
    return len(steps) == 1 and abs(min(steps)) in (1, 2)


def _moved(lines: Lines) -> bool:
    steps = list(chain.from_iterable(pairwise(line) for line in lines))
    return all(before != after for before, after in steps) and any(
        all({motion(x, y) for x, y in before} == after for before, after in steps) for motion in _MOTIONS
    )


def _third(make: Callable[[Any, Any], Any]) -> Law:
    return lambda lines: len(lines) == 3 and all(make(first, second) == third for first, second, third in lines)


def _turned(eighths: int) -> Callable[[int, int], tuple[int, int]]:
    return lambda x, y: (0, 0) if (x, y) == (0, 0) else _EIGHTH[(_EIGHTH.index((x, y)) + eighths) % 8]


def _pushed(right: int, down: int) -> Callable[[int, int], tuple[int, int]]:
    return lambda x, y: ((x + 1 + right) % 3 - 1, (y + 1 + down) % 3 - 1)


_MOTIONS = [
    lambda x, y: (-x, y),
    lambda x, y: (x, -y),
    *map(_turned, range(1, 8)),
    *(_pushed(right, down) for right in range(3) for down in range(3) if (right, down) != (0, 0)),
]
_OF_PLACES = [frozenset.intersection, frozenset.union, frozenset.symmetric_difference, frozenset.difference]
_OF_NUMBERS = [int.__add__, int.__sub__]
