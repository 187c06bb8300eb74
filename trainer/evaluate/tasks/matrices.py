"""Raven's matrices: the candidate behind which "Yes" is likeliest (arXiv 2302.14045, section 4.1). `raven.jsonl`."""

from pathlib import Path

from trainer.evaluate.example import Example
from trainer.evaluate.judging import one_of_right
from trainer.evaluate.raven.files import FILE, read
from trainer.evaluate.raven.prompts import YES, words
from trainer.evaluate.task import RANK, Task


def _read(folder: Path, _drawn: Path) -> list[Example]:
    return [
        Example(puzzle.id, words(len(puzzle.images)), puzzle.images, (str(puzzle.answer),), (YES,), puzzle.candidates)
        for puzzle in read(folder)
    ]


RAVEN = Task(
    "raven", f"which of six images completes a matrix: {FILE}; `weft raven` draws a set", _read, one_of_right, RANK
)
