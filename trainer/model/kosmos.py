"""Kosmos-1: image embeddings stand among the token embeddings, and one decoder reads both.

Letters: B rows, T positions of a row, S of them with those that a cache holds, I images, N slots of an image,
M width of the model, V vocabulary, C H W of a picture.
Activations are fp32 or bf16, losses fp32, tokens int64, masks bool.
"""

import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.data.packing import IGNORED
from trainer.model.cache import Cache
from trainer.model.decoder import Decoder
from trainer.model.loss import cross_entropy_sum
from trainer.model.positions import XPos, sinusoids
from trainer.model.resampler import Resampler
from trainer.model.sight import Sight, positions_in_stretch, sight, sight_by_blocks
from trainer.model.vision import Vision


class Kosmos(nn.Module):
    """The whole model. The same weights embed tokens and predict them."""

    def __init__(self, config: TrainConfig, vocab_size: int, pretrained: bool = True) -> None:
        """Make it with new weights, and those of a pretrained eye; not `pretrained`: others will be loaded."""
        super().__init__()
        self.config = config.model
        width, heads, multiple = config.model.width, config.model.heads, config.model.vocabulary_multiple
        self.embedding = nn.Embedding(-(-vocab_size // multiple) * multiple, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.vision = Vision(config.vision, pretrained)
        self.resampler = Resampler(self.vision.width, width, heads, config.vision.latents)
        self.dropout = nn.Dropout(config.model.dropout)
        self.decoder = Decoder(config.model)

    def forward(
        self,
        tokens_BT: torch.Tensor,
        slots_BT: torch.Tensor,
        stretches_BT: torch.Tensor,
        pixels_ICHW: torch.Tensor | None,
        targets_BT: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the logits (B, T, V), or with targets the summed loss, () float32."""
        x_BTM = self.states(tokens_BT, slots_BT, stretches_BT, pixels_ICHW)
        if targets_BT is None:
            return self.logits(x_BTM)
        return cross_entropy_sum(x_BTM.flatten(0, 1), self.embedding.weight, targets_BT.flatten(), IGNORED)

    def states(
        self,
        tokens_BT: torch.Tensor,
        slots_BT: torch.Tensor,
        stretches_BT: torch.Tensor,
        pixels_ICHW: torch.Tensor | None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Return the states that predict, (B, T, M).

        The slots take the images' embeddings in order. Images beyond the slots take part with a gradient of zero: so a
        process whose rows hold no image runs the same modules as the others, on a blank one. A cache, empty so far,
        takes the positions up, so that `branches` can go on from them.
        """
        config = self.config
        x_BTM = self.embedding(tokens_BT)
        if pixels_ICHW is not None:
            x_BTM = x_BTM.masked_scatter(slots_BT.unsqueeze(-1), self.resampler(self.vision(pixels_ICHW)))
        if not config.document_mask:
            stretches_BT = stretches_BT.sign()
        seen: Sight = None  # rows of one stretch are padded at their end: the causal kernel is enough
        if cache is not None or (config.document_mask and config.attention == "sdpa"):
            seen = sight(stretches_BT)
        elif config.document_mask:
            seen = sight_by_blocks(stretches_BT)
        return self._decoded(x_BTM, positions_in_stretch(stretches_BT), seen, cache)

    def branches(
        self, tokens_BT: torch.Tensor, looks_BTS: torch.Tensor, positions_BT: torch.Tensor, cache: Cache
    ) -> torch.Tensor:
        """Return the states (B, T, M) of words behind what a cache holds, which takes them up.

        A row's words may be several branches of what it holds: a position looks at those of the S, itself the last of
        them or not, that `looks` names, and its number is counted along its own branch.
        """
        return self._decoded(self.embedding(tokens_BT), positions_BT, looks_BTS.unsqueeze(1), cache)

    def _decoded(
        self, x_BTM: torch.Tensor, positions_BT: torch.Tensor, seen: Sight, cache: Cache | None
    ) -> torch.Tensor:
        config, xpos = self.config, None
        if config.positions == "xpos":
            xpos = XPos(positions_BT, config.width // config.heads, None if cache is None else cache.centre)
        else:
            x_BTM = x_BTM * config.width**0.5 + sinusoids(positions_BT, config.width).to(x_BTM.dtype)
        out_BTM: torch.Tensor = self.decoder(self.dropout(x_BTM), seen, xpos, cache)
        return out_BTM

    def logits(self, x_BTM: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, T, V) of states; V is padded beyond the tokenizer's pieces."""
        return torch.matmul(x_BTM, self.embedding.weight.T)
