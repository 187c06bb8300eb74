"""Kosmos-1: a decoder over token embeddings with image embeddings among them.

Tensor letters: B rows, T positions of queries, S positions of keys, M width of the model, F width of the feed-forward
block, V vocabulary, N targets, I images, C channels, H and W pixels.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from trainer.config import ModelConfig, TrainConfig
from trainer.data.packing import IGNORED
from trainer.model.attention import (
    Attention,
    AttentionMask,
    Cache,
    LayerCache,
    XPos,
    attention_mask,
    block_mask,
    positions_in_segment,
    sinusoids,
)
from trainer.model.vision import Resampler, Vision

CHUNK = 2048  # positions whose logits are in memory at the same time


def cross_entropy_sum(
    x_NM: torch.Tensor, embedding_VM: torch.Tensor, targets_N: torch.Tensor, ignored: int
) -> torch.Tensor:
    """Return the sum of the cross-entropy over all targets but `ignored` ones, () float32.

    The caller divides by the number of targets of the whole step, over all processes and micro-steps.
    """
    counted_N = targets_N != ignored
    loss: torch.Tensor = _CrossEntropySum.apply(
        x_NM[counted_N], embedding_VM, targets_N[counted_N], torch.is_grad_enabled()
    )
    return loss


class _CrossEntropySum(torch.autograd.Function):
    """Computes the gradients in the forward pass, while the logits of a chunk are in memory; nothing is recomputed."""

    @staticmethod
    def forward(ctx, x_NM, embedding_VM, targets_N, needs_grad):  # type: ignore[no-untyped-def]
        loss = x_NM.new_zeros((), dtype=torch.float32)
        if needs_grad:
            dx_NM = torch.empty_like(x_NM)
            # fp32, because many chunks are added up
            dembedding_VM = torch.zeros_like(embedding_VM, dtype=torch.float32)
        for first in range(0, len(x_NM), CHUNK):
            chunk = slice(first, first + CHUNK)
            logits_NV = (x_NM[chunk] @ embedding_VM.T).float()
            target_N1 = targets_N[chunk].unsqueeze(1)
            logsumexp_N1 = logits_NV.logsumexp(1, keepdim=True)
            loss += (logsumexp_N1 - logits_NV.gather(1, target_N1)).sum()
            if needs_grad:
                d_NV = logits_NV.sub_(logsumexp_N1).exp_()
                d_NV.scatter_add_(1, target_N1, torch.full_like(logsumexp_N1, -1.0))
                d_NV = d_NV.to(x_NM.dtype)
                torch.matmul(d_NV, embedding_VM, out=dx_NM[chunk])
                dembedding_VM += d_NV.T @ x_NM[chunk]
        if needs_grad:
            ctx.save_for_backward(dx_NM, dembedding_VM.to(embedding_VM.dtype))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, dloss):  # type: ignore[no-untyped-def]
        dx_NM, dembedding_VM = ctx.saved_tensors
        return dx_NM * dloss, dembedding_VM * dloss, None, None


class DecoderBlock(nn.Module):
    """One layer: LN → attention with an inner LN → add; LN → fc1 → GELU → LN → fc2 → add (Magneto)."""

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
        self, x_BTM: torch.Tensor, mask: AttentionMask, xpos: XPos | None, cache: LayerCache | None = None
    ) -> torch.Tensor:
        y_BTM = self.attention_norm(x_BTM)
        x_BTM = x_BTM + self.dropout(self.attention(y_BTM, y_BTM, mask, xpos, cache))
        h_BTF = self.sub_norm(F.gelu(self.fc1(self.ffn_norm(x_BTM))))
        out_BTM: torch.Tensor = x_BTM + self.dropout(self.fc2(h_BTF))
        return out_BTM


class Decoder(nn.Module):
    """The decoder blocks and the final LayerNorm: embeddings to hidden states."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self._initialise(config)

    def forward(
        self, x_BTM: torch.Tensor, mask: AttentionMask, xpos: XPos | None, cache: Cache | None = None
    ) -> torch.Tensor:
        for number, block in enumerate(self.blocks):
            x_BTM = block(x_BTM, mask, xpos, None if cache is None else cache.layers[number])
        out_BTM: torch.Tensor = self.norm(x_BTM)
        return out_BTM

    @torch.no_grad()
    def _initialise(self, config: ModelConfig) -> None:
        """Scale fc1, fc2, v_proj and out_proj by √(ln 2N), N layers (Magneto, section 3).

        The base is Xavier, as in the paper, or PyTorch's default for Linear, whose biases are scaled too, as in the
        released code.
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
    """The model. Input and output embeddings are tied."""

    def __init__(self, config: TrainConfig, vocab_size: int, pretrained: bool = True) -> None:
        """Initialise the weights, and load a pretrained vision encoder unless `pretrained` is false."""
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
        image_mask_BT: torch.Tensor,
        segment_ids_BT: torch.Tensor,
        pixels_ICHW: torch.Tensor | None,
        targets_BT: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the logits (B, T, V), or with targets the sum of the loss, () float32."""
        x_BTM = self.states(tokens_BT, image_mask_BT, segment_ids_BT, pixels_ICHW)
        if targets_BT is None:
            return self.logits(x_BTM)
        return cross_entropy_sum(x_BTM.flatten(0, 1), self.embedding.weight, targets_BT.flatten(), IGNORED)

    def states(
        self,
        tokens_BT: torch.Tensor,
        image_mask_BT: torch.Tensor,
        segment_ids_BT: torch.Tensor,
        pixels_ICHW: torch.Tensor | None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """Return the hidden states (B, T, M).

        Image embeddings replace the positions in the image mask, in order. Surplus images get a gradient of zero, so a
        process without images runs the same modules as the others, on a blank image. An empty cache is filled, for
        `continue_states`.
        """
        config = self.config
        x_BTM = self.embedding(tokens_BT)
        if pixels_ICHW is not None:
            x_BTM = x_BTM.masked_scatter(image_mask_BT.unsqueeze(-1), self.resampler(self.vision(pixels_ICHW)))
        if not config.document_mask:
            segment_ids_BT = segment_ids_BT.sign()
        mask: AttentionMask = None  # a row that is one segment is padded at its end: the causal kernel is enough
        if cache is not None or (config.document_mask and config.attention == "sdpa"):
            mask = attention_mask(segment_ids_BT)
        elif config.document_mask:
            mask = block_mask(segment_ids_BT)
        return self._decode(x_BTM, positions_in_segment(segment_ids_BT), mask, cache)

    def continue_states(
        self, tokens_BT: torch.Tensor, mask_BTS: torch.Tensor, positions_BT: torch.Tensor, cache: Cache
    ) -> torch.Tensor:
        """Return the hidden states (B, T, M) of tokens that continue the cache, and append them to it.

        The tokens of a row may belong to several forks of its cache: each attends to the positions of the mask, and its
        position is counted along its own fork.
        """
        return self._decode(self.embedding(tokens_BT), positions_BT, mask_BTS.unsqueeze(1), cache)

    def _decode(
        self, x_BTM: torch.Tensor, positions_BT: torch.Tensor, mask: AttentionMask, cache: Cache | None
    ) -> torch.Tensor:
        config, xpos = self.config, None
        if config.positions == "xpos":
            xpos = XPos(positions_BT, config.width // config.heads, None if cache is None else cache.centre)
        else:
            x_BTM = x_BTM * config.width**0.5 + sinusoids(positions_BT, config.width).to(x_BTM.dtype)
        out_BTM: torch.Tensor = self.decoder(self.dropout(x_BTM), mask, xpos, cache)
        return out_BTM

    def logits(self, x_BTM: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, T, V) of hidden states; V is the vocabulary with its padding."""
        return torch.matmul(x_BTM, self.embedding.weight.T)
