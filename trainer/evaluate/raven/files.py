"""A set of matrices as a folder: raven.jsonl and its images. The paper's own test, or any other, reads alike.

A line is {"id": TEXT, "images": [PATH, ...], "candidates": [PATH, ... six], "answer": NUMBER from 0}. Images are the
shown cells in reading order: three (two by two), four (a series) or eight (three by three). Paths are relative to the
folder and stay within it. Further keys are not read; sets that Weft draws tell their "rules".
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from schemas.errors import IntegrityError, PathError, SchemaError
from trainer.evaluate.files import Row, image, quoted, read_lines
from trainer.evaluate.raven.cells import Cell
from trainer.evaluate.raven.draw import draw_cell
from trainer.evaluate.raven.matrix import NUM_CANDIDATES, draw_matrix
from trainer.evaluate.raven.solve import solve

FILE = "raven.jsonl"
NUM_SHOWN = (3, 4, 8)


@dataclass(frozen=True)
class Puzzle:
    """A matrix as images."""

    id: str
    images: tuple[Path, ...]
    """The shown cells, in reading order."""
    candidates: tuple[Path, ...]
    answer: int
    """Which candidate is right, from 0."""


class _Row(Row):
    id: Annotated[str, Field(min_length=1)]
    images: list[str]
    candidates: Annotated[list[str], Field(min_length=NUM_CANDIDATES, max_length=NUM_CANDIDATES)]
    answer: Annotated[int, Field(ge=0, lt=NUM_CANDIDATES)]


def write(folder: Path, seed: int, num_matrices: int) -> None:
    """Draw a set into a folder, each matrix solved before it is written; the same seed gives the same set.

    Raises: PathError when the folder cannot be written; IntegrityError when the solver finds another answer.
    """
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(_write(folder, f"{seed}-{i:04}")) + "\n" for i in range(num_matrices)]
        (folder / FILE).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise PathError(f"{folder} cannot be written: {error}") from error


def _write(folder: Path, name: str) -> dict[str, object]:
    matrix = draw_matrix(name)
    if solve(matrix.shown, matrix.candidates) != matrix.answer:
        raise IntegrityError(f"matrix {name} is solved by another candidate than the one marked")

    def save(cells: tuple[Cell, ...], kind: str) -> list[str]:
        paths = [f"images/{name}-{kind}-{i}.png" for i in range(len(cells))]
        for path, cell in zip(paths, cells, strict=True):
            draw_cell(cell).save(folder / path)
        return paths

    images, candidates = save(matrix.shown, "shown"), save(matrix.candidates, "candidate")
    return {"id": name, "images": images, "candidates": candidates, "answer": matrix.answer, "rules": matrix.rules}


def read(folder: Path) -> list[Puzzle]:
    """Read a set.

    Raises: PathError when the folder holds none, or an image is missing; SchemaError when a line is something else.
        Both name the file and the line.
    """
    puzzles: dict[str, Puzzle] = {}
    for where, row in read_lines(folder / FILE, _Row):
        if len(row.images) not in NUM_SHOWN:
            raise SchemaError(f"{where}: images: three, four or eight are to be shown, not {len(row.images)}")
        if row.id in puzzles:
            raise SchemaError(f"{where}: the id {quoted(row.id)} stands twice")
        images, candidates = (
            tuple(image(folder, path, where) for path in paths) for paths in (row.images, row.candidates)
        )
        puzzles[row.id] = Puzzle(row.id, images, candidates, row.answer)
    return list(puzzles.values())
