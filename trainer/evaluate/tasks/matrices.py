"""Raven's matrices: the candidate behind which "Yes" is likeliest (arXiv 2302.14045, section 4.1). `raven.jsonl`."""

from pathlib import Path

from trainer.evaluate.raven.files import FILE, read
from trainer.evaluate.task import RANK, Example, Task, one_of_right
from trainer.generate.engine import PLACEHOLDER

YES = "Yes"
_NUMBERS = {3: "three", 4: "four", 8: "eight"}


def words(num_shown: int) -> str:
    """Return the words that are read with so many shown cells and a candidate; `<image>` says where images stand."""
    shown = PLACEHOLDER * num_shown
    return f"Here are {_NUMBERS[num_shown]} images: {shown} The following image is: {PLACEHOLDER} Is it correct?"


def _read(folder: Path, _drawn: Path) -> list[Example]:
    return [
        Example(puzzle.id, words(len(puzzle.images)), puzzle.images, (str(puzzle.answer),), (YES,), puzzle.candidates)
        for puzzle in read(folder)
    ]


RAVEN = Task(
    "raven", f"which of six images completes a matrix: {FILE}; `weft raven` draws a set", _read, one_of_right, RANK
)
