"""Tasks in words alone or drawn words: commonsense of sizes and colours, rendered SST-2."""

import os
import textwrap
from functools import cache, partial
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track

from schemas.errors import PathError, SchemaError
from schemas.tables import digest
from trainer.evaluate.task import RANK, Example, FileRow, Task, Words, one_of_right, plain, quoted, read_table, text_of

_SIZES, _MEMORY, _TERMS = "sizePairsFull.txt", "memory_color_data.csv", "color-concrete-objects.csv"
YES_NO = ("Yes", "No")


class _Remembered(FileRow):
    Descriptor: str
    Item: Words
    Color: Words


class _Term(FileRow):
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


SENTIMENT_PROMPT = "<image> Question: what is the sentiment of the opinion? Answer:"
OPTIONS = ("negative", "positive")
SIDE_PIXELS, _MARGIN_PIXELS, _LARGEST_POINTS, _SMALLEST_POINTS = 448, 16, 40, 12
_MAX_CHARACTERS = 10_000  # more never fit: even thin letters of 12 points take 3 of 416 pixels, in 30 lines


class _Opinion(FileRow):
    sentence: str
    label: Literal["0", "1"]


def _read_sentiment(split: str, folder: Path, drawn: Path) -> list[Example]:
    rows = list(read_table(folder / f"{split}.tsv", _Opinion, "\t", is_quoted=False))
    try:
        drawn.mkdir(parents=True, exist_ok=True)
        # All of `train` takes minutes, once: whoever waits is told.
        console = Console(stderr=True)
        told = track(rows, f"drawing {split}.tsv", console=console, transient=True, disable=not console.is_terminal)
        paths = [_drawn(row.sentence.strip(), drawn, where) for where, row in told]
    except OSError as error:
        raise PathError(f"{drawn} cannot be written: {error}") from error
    return [
        Example(f"{split}-{number}", SENTIMENT_PROMPT, (path,), (OPTIONS[int(row.label)],), OPTIONS)
        for number, (path, (_, row)) in enumerate(zip(paths, rows, strict=True))
    ]


def _drawn(sentence: str, folder: Path, where: str) -> Path:
    """Draw a sentence into a folder, unless it is there; several processes may be at it."""
    path = folder / f"{digest(sentence)}.png"
    if not path.is_file():
        partial_path = folder / f".{path.stem}-{os.getpid()}.png"
        try:
            draw(sentence).save(partial_path)
        except SchemaError as error:
            raise SchemaError(f"{where}: {error}") from error
        partial_path.rename(path)
    return path


def draw(sentence: str) -> Image.Image:
    """Draw a sentence in lines, as large as the square allows. The same pixels for the same release of Pillow.

    Raises: SchemaError when it is too long for the smallest letters.
    """
    too_long = f"an opinion of {len(sentence):,} characters does not fit into a picture: {sentence[:40]!r}"
    if len(sentence) > _MAX_CHARACTERS:
        raise SchemaError(too_long)
    picture = Image.new("L", (SIDE_PIXELS, SIDE_PIXELS), 255)
    pen, inside = ImageDraw.Draw(picture), SIDE_PIXELS - 2 * _MARGIN_PIXELS
    for points in range(_LARGEST_POINTS, _SMALLEST_POINTS - 1, -2):
        font = _font(points)
        letters = 0.6 * points, max((font.getlength(word) / len(word) for word in sentence.split()), default=1.0)
        for letter in letters:  # as wide as most are, or as in the widest word
            lines = "\n".join(textwrap.wrap(sentence, max(1, int(inside / letter))))
            _, _, right, bottom = pen.multiline_textbbox((0, 0), lines, font=font)
            if right <= inside and bottom <= inside:
                pen.multiline_text((_MARGIN_PIXELS, _MARGIN_PIXELS), lines, fill=0, font=font)
                return picture
    raise SchemaError(too_long)


@cache
def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)


SST2 = Task(
    "sst2",
    "the sentiment of opinions drawn as images: GLUE's dev.tsv, train.tsv",
    partial(_read_sentiment, "dev"),
    one_of_right,
    RANK,
    partial(_read_sentiment, "train"),
)
