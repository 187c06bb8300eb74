"""JPEG bytes to the square of pixels that the vision tower was made for, as bytes: the device makes numbers of them.

Pillow alone, as in a worker process torch would take longer to start than all else.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from schemas.display import shorten
from schemas.errors import IntegrityError

MAX_PIXELS = 100_000_000  # checked on the header, before anything is decoded

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Framing:
    """How a picture becomes a square of `side` pixels: its middle, or all of it squashed, as the tower learnt it."""

    side: int
    squash: bool = False
    bicubic: bool = True

    def decode(self, data: bytes) -> Pixels:
        """Decode one image to (side, side, 3).

        A large JPEG is decoded at a half, a quarter or an eighth of its size, never below the square's: its own
        transform shrinks it on the way, at a fraction of the work.

        Raises: IntegrityError when the bytes are no image, are cut short, or claim more than MAX_PIXELS.
        """
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise IntegrityError(f"{image.width} × {image.height} pixels are more than {MAX_PIXELS}")
                image.draft(None, (self.side, self.side))
                picture = image if image.mode == "RGB" else image.convert("RGB")
                return np.asarray(self.frame(picture))
        except IntegrityError:
            raise
        except Exception as error:  # decoders raise whatever they like
            raise IntegrityError(f"cannot be decoded: {shorten(error)}") from error

    def frame(self, image: Image.Image) -> Image.Image:
        """Resize once: what torchvision's Resize and CenterCrop give, without resizing what is then cut off."""
        how = Image.Resampling.BICUBIC if self.bicubic else Image.Resampling.BILINEAR
        w, h, side = image.width, image.height, self.side
        if self.squash:
            return image.resize((side, side), how)
        width, height = (side, int(side * h / w)) if w <= h else (int(side * w / h), side)
        left, top = round((width - side) / 2), round((height - side) / 2)
        across, down = w / width, h / height
        box = (left * across, top * down, min(w, (left + side) * across), min(h, (top + side) * down))
        return image.resize((side, side), how, box=box)
