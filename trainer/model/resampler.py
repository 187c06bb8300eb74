"""The resampler: an image's features become a fixed number of embeddings of the decoder's width.

Letters: I images, S features of an image, V their width, N latents, M width of the decoder.
Tensors have the dtype of the activations (fp32 or bf16).
"""

import torch
from torch import nn

from trainer.model.attention import Attention


class Resampler(nn.Module):
    """Learned latents that look once at [features; latents], as in the released Kosmos models."""

    def __init__(self, vision_width: int, width: int, heads: int, latents: int) -> None:
        super().__init__()
        self.project = nn.Linear(vision_width, width)
        # as small as the projected features, whose norm is 1: larger latents would drown the image at first
        self.latents_NM = nn.Parameter(torch.randn(latents, width) * width**-0.5)
        self.attention = Attention(width, heads)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, features_ISV: torch.Tensor) -> torch.Tensor:
        """Return (I, N, M)."""
        latents_INM = self.latents_NM.expand(len(features_ISV), -1, -1)
        seen = torch.cat([self.project(features_ISV), latents_INM], dim=1)
        images_INM: torch.Tensor = self.attention(latents_INM, seen)
        return images_INM
