"""Thousands of matrices: one solution each, every rule, uniform answers, and no information in the candidates alone."""

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import pytest

from trainer.evaluate.raven.files import solutions
from trainer.evaluate.raven.matrix import (
    LAYOUTS,
    NUM_SHADES,
    NUM_SIZES,
    SHAPES,
    VALUES,
    Cell,
    Matrix,
    generate_matrix,
    is_unique,
    rules_of,
)

ROOT = Path(__file__).parents[2]
NUM_MATRICES = 4000
CHANCE = 1 / 6

HOLDS: dict[str, Callable[[list[list[int]]], bool]] = {  # whether complete rows follow each rule
    "constant": lambda rows: all(len({*row}) == 1 for row in rows),
    "progression": lambda rows: len({b - a for row in rows for a, b in pairwise(row)} - {0}) == 1,
    "distribute": lambda rows: {frozenset(row) for row in rows} == {frozenset(rows[0])} and len({*rows[0]}) > 1,
    "sum": lambda rows: all(c == a + b for a, b, c in rows),
    "difference": lambda rows: all(c == a - b for a, b, c in rows),
    "and": lambda rows: all(c == a & b for a, b, c in rows),
    "or": lambda rows: all(c == a | b for a, b, c in rows),
    "xor": lambda rows: all(c == a ^ b for a, b, c in rows),
    "without": lambda rows: all(c == a & ~b for a, b, c in rows),
    "turn": lambda rows: all(len({*row}) > 1 and len({p.bit_count() for p in row}) == 1 for row in rows),
    "mirror": lambda rows: all(len({*row}) == 2 and row[0] == row[-1 if len(row) == 3 else 0] for row in rows),
    "shift": lambda rows: all(len({*row}) > 1 and len({p.bit_count() for p in row}) == 1 for row in rows),
}


@pytest.fixture(scope="module")
def matrices() -> list[Matrix]:
    return [generate_matrix(f"test-{i}") for i in range(NUM_MATRICES)]


def values(cell: Cell) -> dict[str, int]:
    return {"shape": cell.shape, "size": cell.size, "shade": cell.shade, "layout": cell.places}


def test_the_answer_is_the_only_solution_among_the_candidates(matrices: list[Matrix]) -> None:
    assert [i for i, m in enumerate(matrices) if solutions(m.shown, m.candidates) != [m.answer]] == []


def test_the_answer_is_the_only_solution_among_all_cells(matrices: list[Matrix]) -> None:
    """The answer is unique among all possible cells, not only among the six."""
    for matrix in matrices[:60]:
        answer = matrix.candidates[matrix.answer]
        others = [
            *(replace(answer, shape=v) for v in range(len(SHAPES))),
            *(replace(answer, size=v) for v in range(NUM_SIZES)),
            *(replace(answer, shade=v) for v in range(NUM_SHADES)),
            *(replace(answer, places=v) for v in VALUES["position"]),
        ]
        assert {others[i] for i in solutions(matrix.shown, others)} == {answer}


def test_the_rules_of_a_matrix_hold_and_other_attributes_are_constant(matrices: list[Matrix]) -> None:
    for matrix in matrices:
        cells = [*matrix.shown, matrix.candidates[matrix.answer]]
        for attribute in ("shape", "size", "shade", "layout"):
            flat = [values(cell)[attribute] for cell in cells]
            if attribute == "layout":
                names = [n for a, n in matrix.rules.items() if a in ("number", "position")]
                if "number" in matrix.rules:
                    assert all(places in LAYOUTS.values() for places in flat)
                    flat = [places.bit_count() for places in flat]
            else:
                names = [n for a, n in matrix.rules.items() if a == attribute]
            rows = [flat[i : i + matrix.side] for i in range(0, len(flat), matrix.side)]
            assert all(HOLDS[name](rows) for name in names) and (names or len({*flat}) == 1), matrix
            assert not names or len({*flat[:-1]}) > 1


def test_every_rule_occurs(matrices: list[Matrix]) -> None:
    found = {(m.side, attribute, name) for m in matrices for attribute, name in m.rules.items()}
    planned = {(side, a, name) for side, a in product((2, 3), VALUES) for name in rules_of(a, side, range(1, side + 1))}
    assert found == planned and {name for _, _, name in planned} == set(HOLDS)


def test_answers_are_uniformly_distributed(matrices: list[Matrix]) -> None:
    for side in (2, 3):
        places = Counter(m.answer for m in matrices if m.side == side)
        number = places.total()
        assert number > NUM_MATRICES / 3
        assert all(abs(places[i] - number / 6) < 4 * math.sqrt(number * CHANCE * (1 - CHANCE)) for i in range(6))


def test_candidates_are_distinct_and_equally_similar(matrices: list[Matrix]) -> None:
    for matrix in matrices:
        assert len({*matrix.candidates}) == 6
        assert len({similarity(matrix.candidates, i) for i in range(6)}) == 1


def test_the_rank_of_the_answer_among_the_values_is_uniform(matrices: list[Matrix]) -> None:
    """Wrong values are sampled like the correct one, so for every rule each is equally often correct."""
    ranks: dict[tuple[str, str, int], Counter[int]] = {}
    for matrix in matrices:
        for attribute, name in matrix.rules.items():
            own = "layout" if attribute in ("number", "position") else attribute
            values_of_candidates = {
                (v.bit_count() if own == "layout" else 0, v) for v in (values(c)[own] for c in matrix.candidates)
            }
            answer = values(matrix.candidates[matrix.answer])[own]
            rank = [v for _, v in sorted(values_of_candidates)].index(answer)
            ranks.setdefault((attribute, name, len(values_of_candidates)), Counter())[rank] += 1
    for what, counts in ranks.items():
        even = counts.total() / what[2]
        error = math.sqrt(even * (1 - 1 / what[2]))
        assert all(abs(counts[rank] - even) <= 4 * error for rank in range(what[2])), (what, counts)
    assert {number for _, _, number in ranks} == {1, 2, 3}


def similarity(candidates: Sequence[Cell], number: int) -> int:
    """Count the candidates that share a value with one, summed over the attributes."""
    return sum(values(c)[a] == v for a, v in values(candidates[number]).items() for c in candidates)


def features(candidates: Sequence[Cell], number: int) -> list[tuple[str, int]]:
    """Return the features of a candidate that do not depend on the matrix."""
    cell = candidates[number]
    count = cell.places.bit_count()
    seen = [*values(cell).items(), ("number", count), ("similarity", similarity(candidates, number))]
    seen += [(f"place {p}", cell.places >> p & 1) for p in range(9)]
    for name, key in (("shape", 0), ("size", 1), ("shade", 2), ("number", 3)):
        every = [(c.shape, c.size, c.shade, c.places.bit_count())[key] for c in candidates]
        mine = every[number]
        seen += [(f"above {name}", sum(v < mine for v in every)), (f"below {name}", sum(v > mine for v in every))]
        seen += [(f"like {name}", every.count(mine)), (f"span {name}", mine - min(every))]
    seen.append(("within", sum(cell.places & c.places == cell.places for c in candidates)))
    seen.append(("around", sum(cell.places | c.places == cell.places for c in candidates)))
    return seen


def blind_accuracy(sets: Sequence[tuple[Sequence[Cell], int]]) -> float:
    """Fit naive Bayes to the features of answers in the first half; return its accuracy on the second half."""
    right: Counter[tuple[str, int]] = Counter()
    every: Counter[tuple[str, int]] = Counter()
    half = len(sets) // 2
    for candidates, answer in sets[:half]:
        for i in range(6):
            seen = features(candidates, i)
            every.update(seen)
            right.update(seen if i == answer else [])
    hits = 0.0
    for candidates, answer in sets[half:]:
        scores = [
            round(sum(math.log((right[f] + 2) / (every[f] + 12)) for f in features(candidates, i)), 9) for i in range(6)
        ]
        best = [i for i in range(6) if scores[i] == max(scores)]
        hits += (answer in best) / len(best)
    return hits / (len(sets) - half)


@pytest.mark.parametrize("side", [2, 3, None])
def test_candidates_alone_allow_only_chance_accuracy(matrices: list[Matrix], side: int | None) -> None:
    sets = [(m.candidates, m.answer) for m in matrices if side in (m.side, None)]
    error = math.sqrt(CHANCE * (1 - CHANCE) / (len(sets) - len(sets) // 2))
    assert abs(blind_accuracy(sets) - CHANCE) < 2.6 * error  # 99 of 100


def test_the_same_classifier_finds_answers_with_single_attribute_distractors(matrices: list[Matrix]) -> None:
    """The flaw of the RAVEN data set, which the classifier above can detect."""
    sets = []
    for number, matrix in enumerate(matrices[:1000]):
        cell = matrix.candidates[matrix.answer]
        changed = [replace(cell, shape=(cell.shape + i) % len(SHAPES)) for i in (1, 2)]
        changed += [replace(cell, size=(cell.size + i) % NUM_SIZES) for i in (1, 2)]
        changed.append(replace(cell, shade=(cell.shade + 1) % NUM_SHADES))
        changed.insert(number % 6, cell)
        sets.append((changed, number % 6))
    assert blind_accuracy(sets) > 0.9


@pytest.mark.parametrize(
    ("attribute", "grid", "unique"),
    [
        ("number", [[1, 2, 3], [2, 3, 4], [3, 4, 5]], True),
        ("number", [[1, 2, 3], [2, 3, 5], [1, 4, 5]], True),
        ("number", [[1, 2, 3], [1, 2, 3], [2, 4, 6]], False),  # sums in rows; constant columns: 3
        ("size", [[0, 1], [1, 2]], False),  # a progression, or two swapped values
        ("size", [[0, 1], [0, 1]], True),
        ("size", [[3, 1], [2, 0]], True),
        ("shape", [[0, 1], [1, 0]], True),
        ("shape", [[0, 1], [2, 3]], False),  # no rule fits
        ("position", [[0b11, 0b1100, 0b1111], [0b1, 0b10, 0b11], [0b110, 0b11, 0b111]], False),  # OR; XOR: 0b101
        ("position", [[0b11, 0b1110, 0b1111], [0b1, 0b110000, 0b110001], [0b110, 0b11, 0b111]], True),
    ],
)
def test_hand_made_grids_are_unique_or_not(attribute: str, grid: list[list[int]], unique: bool) -> None:
    assert is_unique(attribute, grid) == unique


def test_a_seed_gives_the_same_matrices_in_every_process() -> None:
    program = "from trainer.evaluate.raven.matrix import *; print([generate_matrix(str(i)) for i in range(40)])"
    outputs = [
        subprocess.check_output(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
        )
        for seed in (1, 2)
    ]
    assert outputs[0] == outputs[1] and outputs[0].count(b"Matrix(") == 40
    assert (
        generate_matrix("a") != generate_matrix("b")
        and generate_matrix("a", 2).side == 2
        and generate_matrix("a", 3).side == 3
    )
