"""Tasks of plain or rendered text: commonsense about sizes and colours, rendered SST-2."""

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
from trainer.evaluate.task import (
    MULTIPLE_CHOICE,
    Example,
    FileRow,
    NonBlank,
    Task,
    escape,
    exact_accuracy,
    quoted,
    read_table,
    text_of,
)

_SIZES, _MEMORY, _TERMS = "sizePairsFull.txt", "memory_color_data.csv", "color-concrete-objects.csv"
YES_NO = ("Yes", "No")


class _MemoryColor(FileRow):
    Descriptor: str
    Item: NonBlank
    Color: NonBlank


class _ColorTerm(FileRow):
    object: NonBlank
    color: NonBlank


def _sizes(folder: Path, _generated: Path) -> list[Example]:
    found = []
    for number, line in enumerate(text_of(folder / _SIZES).splitlines(), 1):
        if len(pair := line.split()) != 2:
            raise SchemaError(
                f"{folder / _SIZES}, line {number}: a larger and a smaller thing are expected, not {quoted(line)}"
            )
        for one, other, answer in ((*pair, "Yes"), (*reversed(pair), "No")):
            prompt = f"Is {escape(one)} larger than {escape(other)}?"
            found.append(Example(" ".join(pair), prompt, (), (answer,), YES_NO))
    return found


def _memory(folder: Path, _generated: Path) -> list[Example]:
    rows = read_table(folder / _MEMORY, _MemoryColor)
    return _colours([(f"{row.Descriptor.strip()} {row.Item}".strip(), row.Color) for _, row in rows])


def _terms(folder: Path, _generated: Path) -> list[Example]:
    return _colours([(row.object, row.color) for _, row in read_table(folder / _TERMS, _ColorTerm)])


def _colours(things: list[tuple[str, str]]) -> list[Example]:
    options = tuple(sorted({colour for _, colour in things}))
    return [Example(thing, f"The color of {escape(thing)} is?", (), (colour,), options) for thing, colour in things]


RELATIVE_SIZE = Task(
    "relative-size", f"which of two things is larger: {_SIZES}", _sizes, exact_accuracy, MULTIPLE_CHOICE, _sizes
)
MEMORY_COLOR = Task(
    "memory-color", f"typical colours of things: {_MEMORY}", _memory, exact_accuracy, MULTIPLE_CHOICE, _memory
)
COLOR_TERMS = Task("color-terms", f"colours of things: {_TERMS}", _terms, exact_accuracy, MULTIPLE_CHOICE, _terms)


SENTIMENT_PROMPT = "<image> Question: what is the sentiment of the opinion? Answer:"
OPTIONS = ("negative", "positive")
SIDE_PIXELS, _MARGIN_PIXELS, _LARGEST_POINTS, _SMALLEST_POINTS = 448, 16, 40, 12
_MAX_CHARACTERS = 10_000  # more never fit: 30 lines of 416 pixels, at 3 pixels for the narrowest letter of 12 points


class _Opinion(FileRow):
    sentence: str
    label: Literal["0", "1"]


def _read_sentiment(split: str, folder: Path, generated: Path) -> list[Example]:
    rows = list(read_table(folder / f"{split}.tsv", _Opinion, "\t", is_quoted=False))
    try:
        generated.mkdir(parents=True, exist_ok=True)
        console = Console(stderr=True)  # all of `train` takes minutes, the first time
        tracked = track(rows, f"render {split}.tsv", console=console, transient=True, disable=not console.is_terminal)
        paths = [_rendered(row.sentence.strip(), generated, where) for where, row in tracked]
    except OSError as error:
        raise PathError(f"{generated} cannot be written: {error}") from error
    return [
        Example(f"{split}-{number}", SENTIMENT_PROMPT, (path,), (OPTIONS[int(row.label)],), OPTIONS)
        for number, (path, (_, row)) in enumerate(zip(paths, rows, strict=True))
    ]


def _rendered(sentence: str, folder: Path, where: str) -> Path:
    """Render a sentence into a folder, unless it is there; several processes may do so at a time."""
    path = folder / f"{digest(sentence)}.png"
    if not path.is_file():
        partial_path = folder / f".{path.stem}-{os.getpid()}.png"
        try:
            render(sentence).save(partial_path)
        except SchemaError as error:
            raise SchemaError(f"{where}: {error}") from error
        partial_path.rename(path)
    return path


def render(sentence: str) -> Image.Image:
    """Render a sentence in lines, as large as the square allows. A release of Pillow always gives the same pixels.

    Raises: SchemaError when it is too long for the smallest font size.
    """
    too_long = f"an opinion of {len(sentence):,} characters does not fit into an image: {sentence[:40]!r}"
    if len(sentence) > _MAX_CHARACTERS:
        raise SchemaError(too_long)
    image = Image.new("L", (SIDE_PIXELS, SIDE_PIXELS), 255)
    draw, inside = ImageDraw.Draw(image), SIDE_PIXELS - 2 * _MARGIN_PIXELS
    for points in range(_LARGEST_POINTS, _SMALLEST_POINTS - 1, -2):
        font = _font(points)
        widest = max((font.getlength(word) / len(word) for word in sentence.split()), default=1.0)
        for letter in (0.6 * points, widest):  # the width of an average letter, or of those in the widest word
            lines = "\n".join(textwrap.wrap(sentence, max(1, int(inside / letter))))
            _, _, right, bottom = draw.multiline_textbbox((0, 0), lines, font=font)
            if right <= inside and bottom <= inside:
                draw.multiline_text((_MARGIN_PIXELS, _MARGIN_PIXELS), lines, fill=0, font=font)
                return image
    raise SchemaError(too_long)


@cache
def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)


SST2 = Task(
    "sst2",
    "the sentiment of opinions, rendered as images: GLUE's dev.tsv, train.tsv",
    partial(_read_sentiment, "dev"),
    exact_accuracy,
    MULTIPLE_CHOICE,
    partial(_read_sentiment, "train"),
)
