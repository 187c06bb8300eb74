"""Kosmos-1: image embeddings among the token embeddings, and one decoder that reads both."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from trainer.config import ModelConfig, TrainConfig
from trainer.data.packing import IGNORED
from trainer.model.attention import (
    Attention,
    Cache,
    LayerCache,
    Sight,
    XPos,
    attention_mask,
    block_mask,
    positions_in_segment,
    sinusoids,
)
from trainer.model.vision import Resampler, Vision

CHUNK = 2048  # positions whose logits lie in memory together


def cross_entropy_sum(
    x_NM: torch.Tensor, embedding_VM: torch.Tensor, targets_N: torch.Tensor, ignored: int
) -> torch.Tensor:
    """Return the summed loss of predicting the targets, () float32; positions whose target is `ignored` do not count.

    The caller divides by the number of targets of the whole step, over all processes and micro-steps.
    """
    counted_N = targets_N != ignored
    loss: torch.Tensor = _Sum.apply(x_NM[counted_N], embedding_VM, targets_N[counted_N], torch.is_grad_enabled())
    return loss


class _Sum(torch.autograd.Function):
    """The sum, and with it its gradients, while a piece's logits are there: nothing is computed again for them."""

    @staticmethod
    def forward(ctx, x_NM, embedding_VM, targets_N, learns):  # type: ignore[no-untyped-def]
        loss = x_NM.new_zeros((), dtype=torch.float32)
        if learns:
            dx_NM = torch.empty_like(x_NM)
            # in fp32, as many pieces are added up in it
            dembedding_VM = torch.zeros_like(embedding_VM, dtype=torch.float32)
        for first in range(0, len(x_NM), CHUNK):
            part = slice(first, first + CHUNK)
            logits_NV = (x_NM[part] @ embedding_VM.T).float()
            right_N1 = targets_N[part].unsqueeze(1)
            scale_N1 = logits_NV.logsumexp(1, keepdim=True)
            loss += (scale_N1 - logits_NV.gather(1, right_N1)).sum()
            if learns:
                d_NV = logits_NV.sub_(scale_N1).exp_()
                d_NV.scatter_add_(1, right_N1, torch.full_like(scale_N1, -1.0))
                d_NV = d_NV.to(x_NM.dtype)
                torch.matmul(d_NV, embedding_VM, out=dx_NM[part])
                dembedding_VM += d_NV.T @ x_NM[part]
        if learns:
            ctx.save_for_backward(dx_NM, dembedding_VM.to(embedding_VM.dtype))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, scale):  # type: ignore[no-untyped-def]
        dx_NM, dembedding_VM = ctx.saved_tensors
        return dx_NM * scale, dembedding_VM * scale, None, None


class DecoderBlock(nn.Module):
    """One layer: LN → attention with an inner LN → add; LN → fc1 → GELU → LN → fc2 → add."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        dropout = config.dropout if config.attention_dropout is None else config.attention_dropout
        self.attention = Attention(config.width, config.heads, dropout, sub_norm=True, causal=True)
        self.ffn_norm = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, config.ffn_width)
        self.sub_norm = nn.LayerNorm(config.ffn_width)
        self.fc2 = nn.Linear(config.ffn_width, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x_BTM: torch.Tensor, sight: Sight, xpos: XPos | None, cache: LayerCache | None = None
    ) -> torch.Tensor:
        y_BTM = self.attention_norm(x_BTM)
        x_BTM = x_BTM + self.dropout(self.attention(y_BTM, y_BTM, sight, xpos, cache))
        h_BTF = self.sub_norm(F.gelu(self.fc1(self.ffn_norm(x_BTM))))
        out_BTM: torch.Tensor = x_BTM + self.dropout(self.fc2(h_BTF))
        return out_BTM


class Decoder(nn.Module):
    """The blocks and the final LayerNorm; embeddings go in, the states that predict come out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self._initialise(config)

    def forward(self, x_BTM: torch.Tensor, sight: Sight, xpos: XPos | None, cache: Cache | None = None) -> torch.Tensor:
        for number, block in enumerate(self.blocks):
            x_BTM = block(x_BTM, sight, xpos, None if cache is None else cache.layers[number])
        out_BTM: torch.Tensor = self.norm(x_BTM)
        return out_BTM

    @torch.no_grad()
    def _initialise(self, config: ModelConfig) -> None:
        """Scale fc1, fc2, v_proj and out_proj by √(ln 2N), N layers (Magneto, section 3).

        The base is Xavier, as the paper says, or PyTorch's default for Linear, whose biases are scaled too, as its
        released code has it.
        """
        gain = math.sqrt(math.log(2 * config.layers))
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                if config.initialisation == "xavier":
                    nn.init.xavier_normal_(module.weight)
                    nn.init.zeros_(module.bias)
                if not name.endswith(("q_proj", "k_proj")):
                    module.weight.mul_(gain)
                    module.bias.mul_(gain)


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
            seen = attention_mask(stretches_BT)
        elif config.document_mask:
            seen = block_mask(stretches_BT)
        return self._decoded(x_BTM, positions_in_segment(stretches_BT), seen, cache)

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
