"""Hand-made rows and matrices: completions by rules, solutions, and errors of the solver."""

import pytest

from schemas.errors import IntegrityError
from trainer.evaluate.raven.files import solutions, solve
from trainer.evaluate.raven.matrix import LAYOUTS, Cell, motions, move, obeys, places_of, rules_of

CIRCLE, TRIANGLE, SQUARE, HEXAGON, CROSS, STAR = range(6)


@pytest.mark.parametrize(
    ("attribute", "name", "row"),
    [
        ("shape", "constant", [STAR, STAR, STAR]),
        ("size", "progression", [0, 1, 2]),
        ("shade", "progression", [3, 2, 1]),
        ("number", "progression", [9, 7, 5]),
        ("shape", "distribute", [STAR, CIRCLE, CROSS]),
        ("number", "sum", [2, 5, 7]),
        ("number", "difference", [9, 5, 4]),
        ("position", "and", [places_of(0, 1, 4), places_of(1, 4, 8), places_of(1, 4)]),
        ("position", "or", [places_of(0, 1), places_of(1, 8), places_of(0, 1, 8)]),
        ("position", "xor", [places_of(0, 1), places_of(1, 8), places_of(0, 8)]),
        ("position", "without", [places_of(0, 1), places_of(1, 8), places_of(0)]),
        ("position", "turn", [places_of(0, 4), places_of(1, 4), places_of(2, 4)]),  # an eighth; the centre is fixed
        ("position", "turn", [places_of(0, 1), places_of(2, 5), places_of(8, 7)]),  # a quarter
        ("position", "mirror", [places_of(0, 3), places_of(2, 5), places_of(0, 3)]),
        ("position", "shift", [places_of(0, 3), places_of(1, 4), places_of(2, 5)]),
        ("position", "shift", [places_of(8, 4), places_of(2, 7), places_of(5, 1)]),  # down, with wrap-around
    ],
)
def test_rules_complete_rows_that_obey_them(attribute: str, name: str, row: list[int]) -> None:
    rules = rules_of(attribute, 3, row)[name]
    assert [rule for rule in rules if obeys(rule, row)]
    assert not [rule for rule in rules if obeys(rule, [*row[:2], row[2] + 1])]


@pytest.mark.parametrize(
    ("attribute", "name", "given"),
    [
        ("shape", "constant", [STAR, CROSS]),
        ("size", "progression", [2, 3]),  # there is no larger size
        ("size", "progression", [1, 1]),
        ("number", "sum", [5, 5]),
        ("number", "difference", [5, 5]),
        ("position", "and", [places_of(0), places_of(1)]),  # a cell needs a figure
        ("position", "turn", [places_of(4), places_of(4)]),  # an invisible motion
        ("position", "mirror", [places_of(0), places_of(1)]),
    ],
)
def test_rules_do_not_complete_rows_that_break_them(attribute: str, name: str, given: list[int]) -> None:
    assert all(rule.complete(given) is None for rule in rules_of(attribute, 3, [1, 1, 1])[name])


def test_motions_are_complete_permutations() -> None:
    moved = [motion for name in ("turn", "mirror", "shift") for motion in motions(name)]
    assert len({*moved}) == 7 + 2 + 8
    assert all(sorted(motion) == [*range(9)] for motion in moved)
    assert {move(places_of(0), motion) for motion in motions("shift")} == {places_of(p) for p in range(1, 9)}


def cells(*rows: list[tuple[int, int, int, int]]) -> list[Cell]:
    return [Cell(*cell) for row in rows for cell in row]


PLAIN = (STAR, 1, 0, LAYOUTS[2])
LARGER = (STAR, 2, 0, LAYOUTS[2])
MORE = (STAR, 1, 0, LAYOUTS[4])
LARGER_MORE = (STAR, 2, 0, LAYOUTS[4])


def places(*sets: tuple[int, ...]) -> list[Cell]:
    return [Cell(CIRCLE, 0, 3, places_of(*each)) for each in sets]


@pytest.mark.parametrize(
    ("shown", "candidates", "answer"),
    [
        (cells([PLAIN, LARGER], [MORE]), cells([PLAIN, LARGER, MORE, LARGER_MORE]), 3),
        (cells([PLAIN, MORE], [PLAIN]), cells([LARGER, MORE]), 1),
        (  # corners: mirrored horizontally and vertically
            places((0,), (2,), (6,)),
            places((0, 8), (8,), (6,), (4,)),
            1,
        ),
        (
            places((0, 1), (1, 8), (0, 8), (2, 3), (3, 4), (2, 4), (5, 6), (6, 7)),
            places((5, 6, 7), (6,), (5, 7), (5,)),  # OR, AND, XOR, without
            2,
        ),
        (
            places((0, 1), (1, 8), (1,), (2, 3), (3, 4), (3,), (5, 6), (6, 7)),
            places((5, 6, 7), (6,), (5, 7), (5,)),
            1,
        ),
        (
            places((0, 1), (1, 8), (0, 1, 8), (2, 3), (3, 4), (2, 3, 4), (5, 6), (6, 7)),
            places((5, 6, 7), (6,), (5, 7), (5,)),
            0,
        ),
        (  # each shape once in a row; size grows along columns, shade along rows
            cells(
                [(CIRCLE, 0, 0, 16), (TRIANGLE, 0, 1, 16), (SQUARE, 0, 2, 16)],
                [(TRIANGLE, 1, 0, 16), (SQUARE, 1, 1, 16), (CIRCLE, 1, 2, 16)],
                [(SQUARE, 2, 0, 16), (CIRCLE, 2, 1, 16)],
            ),
            cells([(TRIANGLE, 2, 2, 16), (CIRCLE, 2, 2, 16), (TRIANGLE, 1, 2, 16), (TRIANGLE, 2, 1, 16)]),
            0,
        ),
        (  # 1 + 2, 2 + 3, 3 + 4
            [Cell(STAR, 0, 0, LAYOUTS[n]) for n in (1, 2, 3, 2, 3, 5, 3, 4)],
            [Cell(STAR, 0, 0, LAYOUTS[n]) for n in (5, 6, 7, 8)],
            2,
        ),
    ],
)  # fmt: skip
def test_hand_made_matrices_are_solved(shown: list[Cell], candidates: list[Cell], answer: int) -> None:
    assert solve(shown, candidates) == answer


@pytest.mark.parametrize(
    ("shown", "candidates", "found"),
    [
        (  # OR and XOR are equal for disjoint rows, and differ in the last
            places((0, 1), (8,), (0, 1, 8), (2, 3), (4,), (2, 3, 4), (5, 6), (6, 7)),
            places((5, 6, 7), (5, 7), (6,)),
            [0, 1],
        ),
        (
            cells([PLAIN, LARGER], [LARGER]),
            cells([PLAIN, (STAR, 3, 0, LAYOUTS[2]), MORE]),
            [0, 1],
        ),  # distribute, or progression
        (cells([PLAIN, LARGER], [MORE]), cells([LARGER_MORE, LARGER_MORE]), [0, 1]),  # the same twice
        (cells([PLAIN, LARGER], [MORE]), cells([PLAIN, LARGER, MORE]), []),
        (cells([PLAIN, (CROSS, 1, 0, LAYOUTS[2])], [(SQUARE, 1, 0, LAYOUTS[2])]), cells([PLAIN]), []),
    ],
)
def test_ambiguous_and_unsolvable_matrices_are_an_error(
    shown: list[Cell], candidates: list[Cell], found: list[int]
) -> None:
    assert solutions(shown, candidates) == found
    with pytest.raises(IntegrityError, match="found: candidates 0, 1" if found else "found: no candidate"):
        solve(shown, candidates)
