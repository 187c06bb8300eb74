"""JPEG bytes to the tensor that the vision tower was made for."""

import io
from collections.abc import Callable

import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from schemas.errors import IntegrityError

MAX_PIXELS = 100_000_000  # checked on the header, before anything is decoded


class Decoder:
    """Decode images to (3, side, side) float32, cut and normalised as the tower's own preprocessing says."""

    def __init__(self, preprocess: PreprocessCfg) -> None:
        self._transform: Callable[[Image.Image], torch.Tensor] = image_transform_v2(preprocess, is_train=False)
        self.shape = preprocess.input_size

    def decode(self, data: bytes) -> torch.Tensor:
        """Decode one image.

        Raises: IntegrityError when the bytes are no image, are cut short, or claim more than MAX_PIXELS.
        """
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise IntegrityError(f"{image.width} × {image.height} pixels are more than {MAX_PIXELS}")
                return self._transform(image)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise IntegrityError(f"cannot be decoded: {error}") from error
