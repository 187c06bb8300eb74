"""What is known of things without seeing them: their size and their colours, asked in words alone.

RelativeSize (arXiv 1602.00753), MemoryColor (arXiv 2109.11321) and ColorTerms (Bruni et al. 2012), in the files that
VaLM (arXiv 2205.10178) published; the prompts are the paper's (arXiv 2302.14045, section 4.9). Each pair of sizes is
asked both ways, so that "Yes" alone is worth half; the published script asks whether the larger one is larger.
"""

from pathlib import Path

from schemas.errors import SchemaError
from trainer.evaluate.example import Example, plain
from trainer.evaluate.files import Row, Words, quoted, read_table, text_of
from trainer.evaluate.judging import one_of_right
from trainer.evaluate.task import RANK, Task

_SIZES, _MEMORY, _TERMS = "sizePairsFull.txt", "memory_color_data.csv", "color-concrete-objects.csv"
YES_NO = ("Yes", "No")


class _Remembered(Row):
    Descriptor: str
    Item: Words
    Color: Words


class _Term(Row):
    object: Words
    color: Words


def _sizes(folder: Path, _drawn: Path) -> list[Example]:
    found = []
    for number, line in enumerate(text_of(folder / _SIZES).splitlines(), 1):
        if len(pair := line.split()) != 2:
            raise SchemaError(
                f"{folder / _SIZES}, line {number}: a larger and a smaller thing are wanted, not {quoted(line)}"
            )
        for one, other, right in ((*pair, "Yes"), (*reversed(pair), "No")):
            words = f"Is {plain(one)} larger than {plain(other)}?"
            found.append(Example(" ".join(pair), words, (), (right,), YES_NO))
    return found


def _memory(folder: Path, _drawn: Path) -> list[Example]:
    rows = read_table(folder / _MEMORY, _Remembered)
    return _colours([(f"{row.Descriptor.strip()} {row.Item}".strip(), row.Color) for _, row in rows])


def _terms(folder: Path, _drawn: Path) -> list[Example]:
    return _colours([(row.object, row.color) for _, row in read_table(folder / _TERMS, _Term)])


def _colours(things: list[tuple[str, str]]) -> list[Example]:
    options = tuple(sorted({colour for _, colour in things}))
    return [Example(thing, f"The color of {plain(thing)} is?", (), (colour,), options) for thing, colour in things]


RELATIVE_SIZE = Task("relative-size", f"which of two things is larger: {_SIZES}", _sizes, one_of_right, RANK, _sizes)
MEMORY_COLOR = Task("memory-color", f"colours that people remember: {_MEMORY}", _memory, one_of_right, RANK, _memory)
COLOR_TERMS = Task("color-terms", f"colours of things: {_TERMS}", _terms, one_of_right, RANK, _terms)
