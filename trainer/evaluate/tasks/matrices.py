"""Raven's matrices: the candidate after which "Yes" is most likely (arXiv 2302.14045, section 4.1)."""

from pathlib import Path

from trainer.evaluate.raven.files import FILE, read
from trainer.evaluate.task import MULTIPLE_CHOICE, Example, Task, exact_accuracy
from trainer.generate.engine import PLACEHOLDER

YES = "Yes"
_NUMBERS = {3: "three", 4: "four", 8: "eight"}


def prompt(num_shown: int) -> str:
    """Return the prompt for the shown cells and a candidate, with `<image>` for each."""
    shown = PLACEHOLDER * num_shown
    return f"Here are {_NUMBERS[num_shown]} images: {shown} The following image is: {PLACEHOLDER} Is it correct?"


def _read(folder: Path, _generated: Path) -> list[Example]:
    return [
        Example(puzzle.id, prompt(len(puzzle.images)), puzzle.images, (str(puzzle.answer),), (YES,), puzzle.candidates)
        for puzzle in read(folder)
    ]


RAVEN = Task(
    "raven",
    f"which of six images completes a matrix: {FILE}; `weft raven` generates a set",
    _read,
    exact_accuracy,
    MULTIPLE_CHOICE,
)
