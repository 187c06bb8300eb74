"""Sets as folders: written and read, other sets, malformed lines; and the prompts."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.errors import IntegrityError, PathError, SchemaError, WeftError
from trainer.evaluate.raven import files
from trainer.evaluate.raven.files import FILE, draw_cell, read, write
from trainer.evaluate.raven.matrix import generate_matrix
from trainer.evaluate.tasks.images import matrix_prompt


def test_a_set_reads_as_written_and_depends_on_the_seed_only(tmp_path: Path) -> None:
    write(tmp_path / "a", seed=5, num_matrices=12)
    write(tmp_path / "b", seed=5, num_matrices=12)
    write(tmp_path / "c", seed=6, num_matrices=12)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert (tmp_path / "a" / FILE).read_bytes() != (tmp_path / "c" / FILE).read_bytes()
    puzzles = read(tmp_path / "a")
    assert [p.id for p in puzzles] == [f"5-{i:04}" for i in range(12)]
    assert {len(p.images) for p in puzzles} == {3, 8}
    for puzzle in puzzles:
        matrix = generate_matrix(puzzle.id)
        assert puzzle.answer == matrix.answer and len(puzzle.candidates) == 6
        for path, cell in zip(puzzle.images + puzzle.candidates, matrix.shown + matrix.candidates, strict=True):
            with Image.open(path) as image:
                assert (np.asarray(image) == np.asarray(draw_cell(cell))).all()
    assert len(files) == 1 + sum(len(p.images) + 6 for p in puzzles)


def test_a_matrix_with_another_solution_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = generate_matrix("1")
    monkeypatch.setattr(files, "generate_matrix", lambda name: replace(matrix, answer=(matrix.answer + 1) % 6))
    with pytest.raises(IntegrityError, match="another answer than the generator for matrix 3-0000"):
        write(tmp_path, seed=3, num_matrices=1)
    assert not (tmp_path / FILE).exists()


def row(**changes: Any) -> dict[str, Any]:
    given = {"id": "one", "images": ["a.png"] * 4, "candidates": ["a.png"] * 6, "answer": 5}
    return {key: value for key, value in {**given, **changes}.items() if value is not None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    return tmp_path


def test_four_images_and_further_keys_are_accepted(folder: Path) -> None:
    (folder / FILE).write_text(json.dumps(row(source="somewhere", id="\u2028")))
    puzzle = read(folder)[0]
    assert puzzle.images == (folder / "a.png",) * 4 and puzzle.answer == 5 and puzzle.id == "\u2028"


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("{", SchemaError, "JSON"),
        ("", SchemaError, "JSON"),
        ("[]", SchemaError, "object"),
        (row(id=None), SchemaError, "id: Field required"),
        (row(id=7), SchemaError, "id: "),
        (row(images=["a.png"] * 5), SchemaError, "there must be three, four or eight, not 5"),
        (row(images="a.png"), SchemaError, "images: "),
        (row(images=["a.png", None, "a.png"]), SchemaError, "images.1: "),
        (row(candidates=["a.png"] * 5), SchemaError, "candidates: "),
        (row(answer=6), SchemaError, "answer: "),
        (row(answer=-1), SchemaError, "answer: "),
        (row(answer=True), SchemaError, "answer: "),
        (row(answer="5"), SchemaError, "answer: "),
        (row(images=["a.png", "a.png", "b.png"]), PathError, "no image 'b.png'"),
        (row(images=["a.png", "a.png", "."]), PathError, "no image"),
        (row(images=["a.png", "a.png", "../a.png"]), SchemaError, "leads out of the folder"),
        (row(images=["a.png", "a.png", "/etc/hostname"]), SchemaError, "leads out of the folder"),
        (row(images=["a.png", "a.png", "a\0.png"]), SchemaError, r"'a\x00.png' leads"),
        (row(images=["a.png", "a.png", "\x1b[2J\n"]), PathError, r"'\x1b[2J\n'"),
        (row(id="first"), SchemaError, "'first' occurs twice"),
    ],
)
def test_a_malformed_line_gives_one_line(folder: Path, line: Any, error: type[WeftError], message: str) -> None:
    text = line if isinstance(line, str) else json.dumps(line)
    (folder / FILE).write_text(json.dumps(row(id="first")) + "\n" + text + "\n")
    with pytest.raises(error, match=f"{re.escape(str(folder / FILE))}, line 2: .*{re.escape(message)}") as caught:
        read(folder)
    assert str(caught.value).isprintable()


def test_missing_and_binary_files_are_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PathError, match=rf"no file .*{FILE}"):
        read(folder)
    (folder / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(SchemaError, match="is not UTF-8"):
        read(folder)
    with pytest.raises(PathError, match="cannot be written"):
        write(folder / "a.png", seed=1, num_matrices=1)


def test_prompts_are_the_papers() -> None:
    three = "Here are three images: <image><image><image> The following image is: <image> Is it correct?"
    assert matrix_prompt(3) == three
    assert matrix_prompt(4).startswith("Here are four images: <image><image><image><image> The")
    assert matrix_prompt(8).startswith("Here are eight images: " + "<image>" * 8 + " The")
