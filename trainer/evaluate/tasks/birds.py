"""Birds told apart by descriptions: CUB-200-2011's own files, and `pairs.jsonl`, which says what is to be told apart.

A line is {"classes": [CLASS, CLASS], "descriptions": [TEXT, TEXT]}, classes as in `classes.txt`. The paper's three
pairs were not released; its prompts are in section 5.2 of arXiv 2302.14045.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from schemas.errors import SchemaError
from trainer.evaluate.example import Example, plain
from trainer.evaluate.files import Row, image, quoted, read_lines, text_of
from trainer.evaluate.judging import one_of_right
from trainer.evaluate.task import RANK, Task

QUESTION = "<image> Question: what is the name of the bird in the picture? Answer:"


class _Pair(Row):
    classes: Annotated[list[str], Field(min_length=2, max_length=2)]
    descriptions: Annotated[list[str], Field(min_length=2, max_length=2)]


def name_of(bird: str) -> str:
    """Return the name in a class: 191.Red_headed_Woodpecker is Red headed Woodpecker."""
    return bird.partition(".")[2].replace("_", " ")


def _read(described: bool, folder: Path, _drawn: Path) -> list[Example]:
    classes, of_image = (_numbered(folder / name) for name in ("classes.txt", "image_class_labels.txt"))
    split, paths = (_numbered(folder / name) for name in ("train_test_split.txt", "images.txt"))
    known, found = set(classes.values()), []
    for where, pair in read_lines(folder / "pairs.jsonl", _Pair):
        if unknown := [bird for bird in pair.classes if bird not in known]:
            raise SchemaError(f"{where}: class {quoted(unknown[0])} is not in classes.txt")
        options = tuple(map(name_of, pair.classes))
        if not all(options) or options[0] == options[1]:
            raise SchemaError(f"{where}: two classes as 001.Great_Tit are wanted, not {quoted(pair.classes)}")
        told = " ".join(map(plain, pair.descriptions))
        words = f"{told} {QUESTION}" if described else QUESTION
        for number, path in paths.items():
            bird = classes.get(of_image.get(number, ""), "")
            if split.get(number) == "0" and bird in pair.classes:
                place = image(folder / "images", path, f"{folder / 'images.txt'}, image {number[:20]}")
                found.append(Example(f"{'-'.join(options)}-{number}", words, (place,), (name_of(bird),), options))
    return found


def _numbered(path: Path) -> dict[str, str]:
    found = {}
    for number, line in enumerate(text_of(path).splitlines(), 1):
        key, _, value = line.partition(" ")
        if not value:
            raise SchemaError(f"{path}, line {number}: a number and a value are wanted, not {quoted(line)}")
        found[key] = value.strip()
    return found


_FILES = "CUB-200-2011 and pairs.jsonl"
BIRDS = Task("birds", f"which of two birds it is, both described: {_FILES}", partial(_read, True), one_of_right, RANK)
BIRDS_BARE = Task(
    "birds-bare",
    f"the same without descriptions: {_FILES}",
    partial(_read, False),
    one_of_right,
    RANK,
    folder="birds",
)
