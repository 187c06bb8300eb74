"""A set of matrices as a folder: rendered, checked by a solver, written and read."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any

from PIL import Image, ImageDraw
from pydantic import Field

from schemas.errors import IntegrityError, PathError, SchemaError
from trainer.evaluate.raven.matrix import LAYOUTS, NUM_CANDIDATES, NUM_PLACES, SHAPES, Cell, generate_matrix
from trainer.evaluate.task import FileRow, image, quoted, read_lines

Places = frozenset[tuple[int, int]]  # (x, y) from the centre, each -1, 0 or 1
Lines = Sequence[Sequence[Any]]
Pattern = Callable[[Lines], bool]  # whether rows or columns follow a rule

_EIGHTH = [(-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0)]


def solve(shown: Sequence[Cell], candidates: Sequence[Cell]) -> int:
    """Return the index of the candidate that completes a matrix, whose other cells are given row by row.

    Raises: IntegrityError unless exactly one candidate does.
    """
    found = solutions(shown, candidates)
    if len(found) != 1:
        which = f"candidates {', '.join(map(str, found))}" if found else "no candidate"
        raise IntegrityError(f"exactly one candidate must complete a matrix; found: {which}")
    return found[0]


def solutions(shown: Sequence[Cell], candidates: Sequence[Cell]) -> list[int]:
    """Return the indices of the candidates with which every attribute follows a rule.

    This solver shares no code with the generator in matrix.py.
    """
    return [i for i, candidate in enumerate(candidates) if _is_solution([*shown, candidate])]


def _is_solution(cells: Sequence[Cell]) -> bool:
    places = [_places(cell) for cell in cells]
    numbers = [len(p) for p in places]
    is_layout = all(cell.places == LAYOUTS[n] for cell, n in zip(cells, numbers, strict=True))
    return (
        _follows([cell.shape for cell in cells], [_same, _permuted])
        and _follows([cell.size for cell in cells], [_same, _permuted, _even_steps])
        and _follows([cell.shade for cell in cells], [_same, _permuted, _even_steps])
        and (
            _follows(places, [_same, _permuted, _moved, *map(_third, _OF_PLACES)])
            or (is_layout and _follows(numbers, [_same, _permuted, _even_steps, *map(_third, _OF_NUMBERS)]))
        )
    )


def _places(cell: Cell) -> Places:
    return frozenset((p % 3 - 1, p // 3 - 1) for p in range(9) if cell.places & (1 << p))


def _follows(values: Sequence[Any], patterns: Iterable[Pattern]) -> bool:
    side = 2 if len(values) == 4 else 3
    rows = [values[i : i + side] for i in range(0, len(values), side)]
    columns = [values[i::side] for i in range(side)]
    return any(pattern(lines) for pattern in patterns for lines in (rows, columns))


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


def _third(make: Callable[[Any, Any], Any]) -> Pattern:
    return lambda lines: len(lines) == 3 and all(make(first, second) == third for first, second, third in lines)


def _rotated(eighths: int) -> Callable[[int, int], tuple[int, int]]:
    return lambda x, y: (0, 0) if (x, y) == (0, 0) else _EIGHTH[(_EIGHTH.index((x, y)) + eighths) % 8]


def _shifted(right: int, down: int) -> Callable[[int, int], tuple[int, int]]:
    return lambda x, y: ((x + 1 + right) % 3 - 1, (y + 1 + down) % 3 - 1)


_MOTIONS = [
    lambda x, y: (-x, y),
    lambda x, y: (x, -y),
    *map(_rotated, range(1, 8)),
    *(_shifted(right, down) for right in range(3) for down in range(3) if (right, down) != (0, 0)),
]
_OF_PLACES = [frozenset.intersection, frozenset.union, frozenset.symmetric_difference, frozenset.difference]
_OF_NUMBERS = [int.__add__, int.__sub__]


SIDE_PIXELS = 224  # input size of the paper's vision encoder
PLACE_PIXELS = SIDE_PIXELS // 3
_MARGIN_PIXELS = (SIDE_PIXELS - 3 * PLACE_PIXELS) // 2
_EDGE_PIXELS = 3
_RADII_PIXELS = (11, 18, 25, 32)
_SHADES = (255, 190, 110, 0)
_CORNERS = {  # x to the right and y downwards, in hundredths of the radius
    "triangle": ((0, -100), (100, 80), (-100, 80)),
    "square": ((-88, -88), (88, -88), (88, 88), (-88, 88)),
    "hexagon": ((-100, 0), (-50, -87), (50, -87), (100, 0), (50, 87), (-50, 87)),
    "cross": (
        (-36, -100), (36, -100), (36, -36), (100, -36), (100, 36), (36, 36),
        (36, 100), (-36, 100), (-36, 36), (-100, 36), (-100, -36), (-36, -36),
    ),
    "star": (
        (0, -100), (26, -36), (95, -31), (43, 14), (59, 81),
        (0, 46), (-59, 81), (-43, 14), (-95, -31), (-26, -36),
    ),
}  # fmt: skip


def draw_cell(cell: Cell) -> Image.Image:
    """Render a cell in grey, 224 × 224 pixels."""
    image = Image.new("L", (SIDE_PIXELS, SIDE_PIXELS), 255)
    figure = _figure(SHAPES[cell.shape], _RADII_PIXELS[cell.size], _SHADES[cell.shade])
    for place in range(NUM_PLACES):
        if cell.places >> place & 1:
            row, column = divmod(place, 3)
            image.paste(figure, (_MARGIN_PIXELS + column * PLACE_PIXELS, _MARGIN_PIXELS + row * PLACE_PIXELS))
    return image


@cache
def _figure(shape: str, radius: int, shade: int) -> Image.Image:
    image = Image.new("L", (PLACE_PIXELS, PLACE_PIXELS), 255)
    draw = ImageDraw.Draw(image)
    middle = PLACE_PIXELS // 2
    if shape == "circle":
        box = (middle - radius, middle - radius, middle + radius, middle + radius)
        draw.ellipse(box, fill=shade, outline=0, width=_EDGE_PIXELS)
    else:
        corners = [(middle + x * radius // 100, middle + y * radius // 100) for x, y in _CORNERS[shape]]
        draw.polygon(corners, fill=shade, outline=0, width=_EDGE_PIXELS)
    return image


FILE = "raven.jsonl"
NUM_SHOWN = (3, 4, 8)


@dataclass(frozen=True)
class Puzzle:
    """A matrix as image files."""

    id: str
    images: tuple[Path, ...]
    """The shown cells, in reading order."""
    candidates: tuple[Path, ...]
    answer: int
    """Index of the correct candidate."""


class _Row(FileRow):
    id: Annotated[str, Field(min_length=1)]
    images: list[str]
    candidates: Annotated[list[str], Field(min_length=NUM_CANDIDATES, max_length=NUM_CANDIDATES)]
    answer: Annotated[int, Field(ge=0, lt=NUM_CANDIDATES)]


def write(folder: Path, seed: int, num_matrices: int) -> None:
    """Generate a set in a folder, and check each matrix with the solver. The same seed gives the same set.

    Raises: PathError when the folder cannot be written; IntegrityError when the solver finds another answer.
    """
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(_write(folder, f"{seed}-{i:04}")) + "\n" for i in range(num_matrices)]
        (folder / FILE).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise PathError(f"{folder} cannot be written: {error}") from error


def _write(folder: Path, name: str) -> dict[str, object]:
    matrix = generate_matrix(name)
    if solve(matrix.shown, matrix.candidates) != matrix.answer:
        raise IntegrityError(f"the solver finds another answer than the generator for matrix {name}")

    def save(cells: tuple[Cell, ...], kind: str) -> list[str]:
        paths = [f"images/{name}-{kind}-{i}.png" for i in range(len(cells))]
        for path, cell in zip(paths, cells, strict=True):
            draw_cell(cell).save(folder / path)
        return paths

    images, candidates = save(matrix.shown, "shown"), save(matrix.candidates, "candidate")
    return {"id": name, "images": images, "candidates": candidates, "answer": matrix.answer, "rules": matrix.rules}


def read(folder: Path) -> list[Puzzle]:
    """Read a set.

    Raises: PathError when the folder has none, or an image is missing; SchemaError when a line is malformed. Both name
        the file and the line.
    """
    puzzles: dict[str, Puzzle] = {}
    for where, row in read_lines(folder / FILE, _Row):
        if len(row.images) not in NUM_SHOWN:
            raise SchemaError(f"{where}: images: there must be three, four or eight, not {len(row.images)}")
        if row.id in puzzles:
            raise SchemaError(f"{where}: the id {quoted(row.id)} occurs twice")
        images, candidates = (
            tuple(image(folder, path, where) for path in paths) for paths in (row.images, row.candidates)
        )
        puzzles[row.id] = Puzzle(row.id, images, candidates, row.answer)
    return list(puzzles.values())
