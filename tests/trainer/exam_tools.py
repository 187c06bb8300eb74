"""What every benchmark's invented files are made of: words, colours, pictures, tables, lines."""

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

Known = tuple[list[Example], list[Example]]
"""What a task asks, and what shots are drawn from."""

SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstv" for vowel in "aeiou"]


def made(number: int) -> str:
    """Make a word up: another one for each number below 274,625."""
    number = (number * 7919 + 12_345) % 65**3  # 7919 has no factor of 65, so no word comes twice
    return "".join(SYLLABLES[number // 65**place % 65] for place in range(3))


def colour(number: int) -> str:
    return list(COLOURS)[number % len(COLOURS)]


def picture(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_drawn(number % 12, path.suffix))
    return path


@cache
def _drawn(number: int, suffix: str) -> bytes:
    kept = io.BytesIO()
    with Image.open(io.BytesIO(drawing(colour(number), number))) as image:
        image.save(kept, "PNG" if suffix == ".png" else "JPEG")
    return kept.getvalue()


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
