"""Attention: heads over PyTorch's kernels.

Letters: B rows, T positions that look, S positions that are looked at, H heads, D width of a head, M width of the
model. Tensors have the dtype of the activations (fp32 or bf16).
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from trainer.model.cache import LayerCache
from trainer.model.positions import XPos
from trainer.model.sight import Sight


class Attention(nn.Module):
    """Multi-head attention with biases; with `sub_norm`, a LayerNorm before the output projection (Magneto)."""

    def __init__(
        self, width: int, heads: int, dropout: float = 0.0, sub_norm: bool = False, causal: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.dropout, self.causal = heads, dropout, causal
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width) if sub_norm else nn.Identity()
        self.out_proj = nn.Linear(width, width)

    def forward(
        self,
        x_BTM: torch.Tensor,
        y_BSM: torch.Tensor,
        sight: Sight = None,
        xpos: XPos | None = None,
        cache: LayerCache | None = None,
    ) -> torch.Tensor:
        """Let x look at y, and at what the cache holds of earlier ones. Returns (B, T, M).

        Without `sight` it looks at all of y, or if `causal` at all up to its own position.
        """
        q_BHTD, k_BHSD, v_BHSD = (
            projection(z).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, z in ((self.q_proj, x_BTM), (self.k_proj, y_BSM), (self.v_proj, y_BSM))
        )
        if xpos is not None:
            q_BHTD, k_BHSD = xpos.queries(q_BHTD), xpos.keys(k_BHSD)
        if cache is not None:
            k_BHSD, v_BHSD = cache.extend(k_BHSD, v_BHSD)
        if isinstance(sight, BlockMask):
            z_BHTD = _flex(q_BHTD.is_cuda)(q_BHTD, k_BHSD, v_BHSD, block_mask=sight)
        else:
            dropout, causal = self.dropout if self.training else 0.0, self.causal and sight is None
            z_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD, sight, dropout, causal)
        out_BTM: torch.Tensor = self.out_proj(self.norm(z_BHTD.transpose(1, 2).flatten(2)))
        return out_BTM


@cache
def _flex(compiled: bool):  # type: ignore[no-untyped-def]
    """FlexAttention, compiled where it is a kernel: on GPUs. Elsewhere it computes all products, as a reference."""
    return torch.compile(flex_attention, dynamic=False) if compiled else flex_attention
