"""Kosmos-1: image embeddings stand among the token embeddings, and one decoder reads both.

Letters: B rows, T positions, I images, N slots of an image, M width of the model, V vocabulary, C H W of a picture.
Activations are fp32 or bf16, losses fp32, tokens int64, masks bool.
"""

import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.data.packing import IGNORED
from trainer.model.attention import positions_in_stretch, stretch_mask
from trainer.model.decoder import Decoder
from trainer.model.loss import cross_entropy_sum
from trainer.model.positions import XPos, sinusoids
from trainer.model.resampler import Resampler
from trainer.model.vision import Vision


class Kosmos(nn.Module):
    """The whole model. The same weights embed tokens and predict them."""

    def __init__(self, config: TrainConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config.model
        width, heads, multiple = config.model.width, config.model.heads, config.model.vocabulary_multiple
        self.embedding = nn.Embedding(-(-vocab_size // multiple) * multiple, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.vision = Vision(config.vision)
        self.resampler = Resampler(self.vision.width, width, heads, config.vision.latents)
        self.dropout = nn.Dropout(config.model.dropout)
        self.decoder = Decoder(config.model)

    def forward(
        self,
        tokens_BT: torch.Tensor,
        slots_BT: torch.Tensor,
        stretches_BT: torch.Tensor,
        pixels_ICHW: torch.Tensor,
        targets_BT: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the logits (B, T, V), or with targets the summed loss, () float32.

        The slots take the images' embeddings in order. Images beyond the slots take part with a gradient of zero: so a
        process whose rows hold no image runs the same modules as the others, on a blank one.
        """
        images_INM = self.resampler(self.vision(pixels_ICHW))
        x_BTM = self.embedding(tokens_BT).masked_scatter(slots_BT.unsqueeze(-1), images_INM)
        positions_BT = positions_in_stretch(stretches_BT)
        xpos = None
        if self.config.positions == "xpos":
            xpos = XPos(positions_BT, self.config.width // self.config.heads)
        else:
            x_BTM = x_BTM * self.config.width**0.5 + sinusoids(positions_BT, self.config.width).to(x_BTM.dtype)
        x_BTM = self.decoder(self.dropout(x_BTM), stretch_mask(stretches_BT), xpos)
        if targets_BT is None:
            return torch.matmul(x_BTM, self.embedding.weight.T)
        return cross_entropy_sum(x_BTM.flatten(0, 1), self.embedding.weight, targets_BT.flatten(), IGNORED)
