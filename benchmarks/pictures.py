"""Images for timing decoders: drawings with noise like that of photographs, since plain drawings decode faster."""

import io

import numpy as np
from PIL import Image

from tests.sampleweb.drawing import example


def grainy_jpeg(number: int, side_pixels: int, grain: float) -> bytes:
    """Draw a scene by number, with noise of a standard deviation [of 255]; deterministic."""
    _, image = example(0, number, "web", side_pixels)
    noise = np.random.default_rng(number).normal(0, grain, (*image.size[::-1], 1))
    noisy = np.clip(np.asarray(image.convert("RGB")) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=92)
    return file.getvalue()
