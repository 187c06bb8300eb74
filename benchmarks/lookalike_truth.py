"""Measure which changed images are found as near-duplicates: `python -m benchmarks.lookalike_truth PICTURES.tar.gz`.

PICTURES are JPEGs of which no two show the same. Each is changed in every way below; the table tells for each distance
how many of the changed ones are found [%], and how many pairs of different pictures, changed or not, are merged.
"""

import io
import sys
import tarfile
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from rich.console import Console
from rich.table import Table

from pipeline.images.decode import decode
from schemas.recipe import Decode

Change = Callable[[Image.Image], Image.Image]
DISTANCES = range(0, 17, 2)  # two hashes differ in an even number of bits


def _scaled(factor: float) -> Change:
    return lambda picture: ImageOps.scale(picture, factor, Image.Resampling.LANCZOS)


def _cropped(left: float, top: float, right: float, bottom: float) -> Change:
    """Cut off fractions of width and height."""
    return lambda p: p.crop(
        (int(p.width * left), int(p.height * top), int(p.width * (1 - right)), int(p.height * (1 - bottom)))
    )


def _recompressed(quality: int) -> Change:
    return lambda picture: Image.open(io.BytesIO(_jpeg(picture, quality)))


def _brighter(factor: float) -> Change:
    return lambda picture: ImageEnhance.Brightness(picture).enhance(factor)


def _marked(picture: Image.Image) -> Image.Image:
    marked = picture.copy()
    place, size = (picture.width / 20, picture.height * 0.9), picture.height / 12
    ImageDraw.Draw(marked, "RGBA").text(place, "© example.org photo", (255, 255, 255, 160), font_size=size)
    return marked


CHANGES: dict[str, Change] = {
    "twice the size": _scaled(2),
    "half the size": _scaled(0.5),
    "a quarter": _scaled(0.25),
    "JPEG quality 75": _recompressed(75),
    "JPEG quality 30": _recompressed(30),
    "JPEG quality 10": _recompressed(10),
    "brightness +20 %": _brighter(1.2),
    "brightness -20 %": _brighter(0.8),
    "contrast +30 %": lambda picture: ImageEnhance.Contrast(picture).enhance(1.3),
    "grey": lambda picture: picture.convert("L"),
    "watermark": _marked,
    "crop 2 % around": _cropped(0.01, 0.01, 0.01, 0.01),
    "crop 5 % around": _cropped(0.025, 0.025, 0.025, 0.025),
    "crop 5 % of a corner": _cropped(0, 0, 0.05, 0.05),
    "flip": ImageOps.mirror,
}


def main() -> None:
    """Measure and print the table."""
    hashes = np.array([_variants(picture) for picture in _pictures(sys.argv[1])], np.uint64)
    table = Table("change")
    for distance in DISTANCES:
        table.add_column(f"{distance} bits", justify="right")
    for column, name in enumerate(CHANGES, 1):
        away = np.bitwise_count(hashes[:, 0] ^ hashes[:, column])
        table.add_row(name, *(f"{(away <= distance).mean():.0%}" for distance in DISTANCES))
    picture = np.repeat(np.arange(len(hashes)), hashes.shape[1])
    away = np.bitwise_count(hashes.reshape(-1, 1) ^ hashes.reshape(1, -1))[picture[:, None] < picture]
    table.add_row(f"merged, of {len(away):,}", *(f"{(away <= distance).sum():,}" for distance in DISTANCES))
    Console().print(table)


def _pictures(path: str) -> Iterator[Image.Image]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".jpg") else None
            if file is not None:
                yield Image.open(file).convert("RGB")


def _variants(picture: Image.Image) -> list[int]:
    """Return the hashes of an image and its changed versions, as a run computes them."""
    changed = [picture, *(change(picture) for change in CHANGES.values())]
    return [int(decode(_jpeg(p, 92), Decode())["phash"], 16) for p in changed]


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


if __name__ == "__main__":
    main()
