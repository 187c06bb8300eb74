"""Training examples for a CLIP model: preprocessed images, and texts of every length."""

import random
from collections.abc import Callable

import torch
from PIL import Image

from tests.sampleweb import captions
from tests.sampleweb.drawing import render
from tests.sampleweb.prose import EnglishWriter
from tests.sampleweb.scenes import Scene, draw_scene

Preprocess = Callable[[Image.Image], torch.Tensor]
SIZES_PIXELS = ((96, 96), (128, 128), (128, 96), (192, 144))


def scenes(split: str, num_scenes: int, seed: int = 0) -> list[Scene]:
    """Return that many different scenes of a split."""
    found: dict[Scene, None] = {}
    index = 0
    while len(found) < num_scenes:
        found.setdefault(draw_scene(seed, index, split))
        index += 1
    return list(found)


def image(scene: Scene, index: int, preprocess: Preprocess) -> torch.Tensor:
    """Return the scene drawn in one of several sizes and preprocessed: float32, channels x side x side."""
    return preprocess(render(scene, *SIZES_PIXELS[index % len(SIZES_PIXELS)], index))


def any_text(scene: Scene, rng: random.Random) -> str:
    """Return a text that describes the scene: a caption, an alt text, sentences, or a whole paragraph of a page."""
    length = rng.random()
    if length < 0.2:
        return captions.caption(scene)
    if length < 0.6:
        return captions.phrasing(scene, rng)
    writer = EnglishWriter(rng)
    if length < 0.85:
        return " ".join(captions.sentences(scene, rng, rng.choice(writer.carriers)))
    return writer.description(scene)
