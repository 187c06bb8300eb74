"""How many FLOPs the model itself asks for, the eye included: what MFU is counted by.

A multiplication and an addition are two. A matrix that learns costs its forward pass three times, one that is frozen
once. What is computed again (activation checkpointing) and what is padding does not count: it is no use of the device.
"""

from dataclasses import dataclass

from trainer.config import TrainConfig
from trainer.config.model import Model
from trainer.model.kosmos import Kosmos
from trainer.model.vision import Vision
from trainer.watch.metrics import StepMetrics


@dataclass(frozen=True)
class Eye:
    """The sizes of a vision transformer."""

    layers: int
    width: int
    mlp_width: int
    tokens: int
    """Of an image, the class token included."""
    patch_values: int
    """Numbers of a patch: its pixels times three colours."""
    learning_layers: int

    @classmethod
    def of(cls, vision: Vision) -> "Eye":
        blocks = vision.tower.transformer.resblocks
        tokens, width = vision.tower.positional_embedding.shape
        learning = sum(any(p.requires_grad for p in block.parameters()) for block in blocks)
        patch_values = vision.tower.conv1.weight[0].numel()
        return cls(len(blocks), width, blocks[0].mlp.c_fc.out_features, tokens, patch_values, learning)


@dataclass(frozen=True)
class Flops:
    """FLOPs of a training step, by what it holds."""

    per_token: float
    per_image: float

    @classmethod
    def of(cls, model: Kosmos, config: TrainConfig) -> "Flops":
        return cls(
            decoder_per_token(config.model, config.data.sequence_length, model.embedding.num_embeddings),
            eye_per_image(Eye.of(model.vision)) + resampler_per_image(Eye.of(model.vision), config),
        )

    def utilisation(self, step: StepMetrics, peak: float) -> float:
        """Return MFU, from 0 to 1: what the model asked for over what the devices, `peak` [FLOP/s] in all, can do."""
        asked = sum(step.num_tokens.values()) * self.per_token + step.num_images * self.per_image
        return asked / (step.seconds * peak)


def decoder_per_token(model: Model, length: int, num_embeddings: int, causal: bool = False) -> float:
    """Return the FLOPs of a token in the decoder, forward and backward.

    Attention counts every pair of positions of a row, as published figures do; `causal`: the half that is looked at.
    """
    matrices = model.layers * (4 * model.width**2 + 2 * model.width * model.ffn_width) + num_embeddings * model.width
    attention = 2 * model.layers * model.width * length * (0.5 if causal else 1)
    return 3 * 2 * (matrices + attention)


def eye_per_image(eye: Eye) -> float:
    """Return the FLOPs of an image in the tower: forward, and backward through the layers that learn."""
    matrices = eye.tokens * (4 * eye.width**2 + 2 * eye.width * eye.mlp_width)
    layer = 2 * (matrices + 2 * eye.tokens**2 * eye.width)
    patches = 2 * (eye.tokens - 1) * eye.patch_values * eye.width
    return eye.layers * layer + patches + 2 * eye.learning_layers * layer


def resampler_per_image(eye: Eye, config: TrainConfig) -> float:
    """Return the FLOPs of an image in the resampler, forward and backward."""
    width, latents = config.model.width, config.vision.latents
    seen = eye.tokens + latents
    matrices = eye.tokens * eye.width * width + (2 * latents + 2 * seen) * width**2
    return 3 * 2 * (matrices + 2 * latents * seen * width)
