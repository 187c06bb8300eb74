"""A few hundred small images, drawn at their first request: the content of valid answers of the faulty server."""

import io
import random
from functools import cache

from PIL import Image, ImageChops

from tests.sampleweb.drawing import render
from tests.sampleweb.pictures import MEDIA_TYPES, PILLOW_FORMATS
from tests.sampleweb.scenes import draw_scene

NUM_PICTURES = 300
SEED = 23
QUALITY = {"jpg": 85, "webp": 90}
GRAIN_PIXELS = 3  # the side of a grain: fine grain, or none, leaves the files far from the size of photographs
GRAIN_LEVELS = [value >> 4 for value in range(256)]


@cache
def picture(number: int) -> tuple[str, bytes]:
    """Return the media type and the file, of 2 to 9 kB, of a picture; numbers start anew after NUM_PICTURES."""
    if number >= NUM_PICTURES:
        return picture(number % NUM_PICTURES)
    rng = random.Random(f"gallery/{SEED}/{number}")
    width, height = rng.randint(100, 220), rng.randint(100, 220)
    image = ImageChops.subtract(
        render(draw_scene(SEED, number, "web"), width, height, number), _grain(width, height, rng)
    )
    extension = ("jpg", "png", "webp")[number % 3]
    stream = io.BytesIO()
    image.save(stream, PILLOW_FORMATS[extension], quality=QUALITY.get(extension))
    return MEDIA_TYPES[extension], stream.getvalue()


def _grain(width: int, height: int, rng: random.Random) -> Image.Image:
    columns, rows = width // GRAIN_PIXELS, height // GRAIN_PIXELS
    grain = Image.frombytes("L", (columns, rows), rng.randbytes(columns * rows)).point(GRAIN_LEVELS)
    return Image.merge("RGB", [grain.resize((width, height), Image.Resampling.NEAREST)] * 3)
