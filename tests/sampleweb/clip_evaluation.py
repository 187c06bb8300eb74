"""Measure how well a CLIP model distinguishes correct captions from wrong ones, on held-out scenes."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.sampleweb import captions
from tests.sampleweb.clip_scenes import Preprocess, image, scenes

Tokenizer = Callable[[list[str]], Tensor]
NUM_CHOICES = 32
BATCH_SIZE = 250


@dataclass(frozen=True)
class Figures:
    """What a model reaches on N held-out scenes; a mismatched pair is a scene with the caption of the next one."""

    num_scenes: int
    retrieval: float  # fraction of scenes whose own caption beats 31 others
    roc_auc: float  # of matched against mismatched pairs
    threshold: float  # cosine that gives most right verdicts on these pairs
    precision: float  # at the threshold
    recall: float  # at the threshold
    matched_cosine: float  # median
    mismatched_cosine: float  # median


@torch.no_grad()
def evaluate(model: Any, preprocess: Preprocess, tokenizer: Tokenizer, num_scenes: int = 1000) -> Figures:
    """Score held-out scenes, in eval mode, with their alt texts."""
    model.eval()
    shown = scenes("held-out", num_scenes)
    rng = random.Random(1)
    texts = [captions.phrasing(scene, rng) for scene in shown]
    pixels_NCHW = torch.stack([image(scene, i, preprocess) for i, scene in enumerate(shown)])
    image_NE = torch.cat([model.encode_image(part, normalize=True) for part in torch.split(pixels_NCHW, BATCH_SIZE)])
    text_NE = torch.cat([model.encode_text(part, normalize=True) for part in torch.split(tokenizer(texts), BATCH_SIZE)])
    return _figures(image_NE @ text_NE.T, rng)


def _figures(cosine_NN: Tensor, rng: random.Random) -> Figures:
    """Judge the cosines of every scene (row) with every caption (column); the right ones lie on the diagonal."""
    num_scenes = len(cosine_NN)
    matched_N = cosine_NN.diagonal()
    mismatched_N = cosine_NN.roll(-1, dims=1).diagonal()
    hits = 0
    for row in range(num_scenes):
        others = rng.sample([column for column in range(num_scenes) if column != row], NUM_CHOICES - 1)
        hits += bool(cosine_NN[row, others].max() < matched_N[row])
    wins_NN = (matched_N[:, None] > mismatched_N[None, :]).float()
    bounds = torch.cat([matched_N, mismatched_N])
    right = (matched_N[None, :] >= bounds[:, None]).sum(1) + (mismatched_N[None, :] < bounds[:, None]).sum(1)
    threshold = bounds[right.argmax()]
    kept_right, kept_wrong = int((matched_N >= threshold).sum()), int((mismatched_N >= threshold).sum())
    return Figures(
        num_scenes=num_scenes,
        retrieval=hits / num_scenes,
        roc_auc=wins_NN.mean().item(),
        threshold=threshold.item(),
        precision=kept_right / (kept_right + kept_wrong),
        recall=kept_right / num_scenes,
        matched_cosine=matched_N.median().item(),
        mismatched_cosine=mismatched_N.median().item(),
    )
