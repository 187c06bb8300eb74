"""Parts of the benchmarks' synthetic files: words, colours, images, tables, JSON lines."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from shardwriter import COLOURS, drawing

from trainer.evaluate.task import Example

Expected = tuple[list[Example], list[Example]]
"""The examples of a task, and its pool of shots."""

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeiou"]


def word(number: int) -> str:
    """Return an artificial word, a different one for each number below 274,625."""
    number = (number * 7919 + 12_345) % 65**3  # 7919 and 65 are coprime, so no word occurs twice
    return "".join(SYLLABLES[number // 65**place % 65] for place in range(3))


def colour(number: int) -> str:
    return list(COLOURS)[number % len(COLOURS)]


def write_image(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_image_bytes(number % 12, path.suffix))
    return path


@cache
def _image_bytes(number: int, suffix: str) -> bytes:
    kept = io.BytesIO()
    with Image.open(io.BytesIO(drawing(colour(number), number))) as image:
        image.save(kept, "PNG" if suffix == ".png" else "JPEG")
    return kept.getvalue()


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
