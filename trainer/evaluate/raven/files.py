"""A set of matrices as a folder: raven.jsonl and its images. The paper's own test, or any other, reads alike.

A line is {"id": TEXT, "images": [PATH, ...], "candidates": [PATH, ... six], "answer": NUMBER from 0}. Images are the
shown cells in reading order: three (two by two), four (a series) or eight (three by three). Paths are relative to the
folder and stay within it. Further keys are not read; sets that Weft draws tell their "rules".
"""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from schemas.errors import IntegrityError, PathError, SchemaError
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


class _Row(BaseModel, strict=True):
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
    file = folder / FILE
    if not file.is_file():
        raise PathError(f"no {FILE} in {folder}")
    try:
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise SchemaError(f"{file} is not UTF-8") from error
    puzzles: dict[str, Puzzle] = {}
    for number, line in enumerate(lines, 1):
        puzzle = _puzzle(line, folder, where=f"{file}, line {number}")
        if puzzle.id in puzzles:
            raise SchemaError(f"{file}, line {number}: the id {puzzle.id!r} stands twice")
        puzzles[puzzle.id] = puzzle
    return list(puzzles.values())


def _puzzle(line: str, folder: Path, where: str) -> Puzzle:
    try:
        row = _Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"]))
        raise SchemaError(f"{where}: {at + ': ' if at else ''}{first['msg']}") from error
    if len(row.images) not in NUM_SHOWN:
        raise SchemaError(f"{where}: images: three, four or eight are to be shown, not {len(row.images)}")
    for path in row.images + row.candidates:
        if "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise SchemaError(f"{where}: {path!r} leads out of the folder")
        if not (folder / path).is_file():
            raise PathError(f"{where}: no image {path!r}")
    images, candidates = (tuple(folder / path for path in paths) for paths in (row.images, row.candidates))
    return Puzzle(row.id, images, candidates, row.answer)
