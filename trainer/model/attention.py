"""Attention: heads over SDPA, and the mask that keeps the stretches of a packed row apart.

Letters: B rows, T positions of the queries, S positions of the keys, H heads, D width of a head, M width of the model.
Tensors have the dtype of the activations (fp32 or bf16); masks are bool, positions int64.
"""

import torch
import torch.nn.functional as F
from torch import nn

from trainer.model.positions import XPos


def stretch_mask(stretches_BT: torch.Tensor) -> torch.Tensor:
    """Return the mask (B, 1, T, T) of a packed row, True where a position may look: back, inside its own stretch."""
    length = stretches_BT.shape[1]
    causal_TT = torch.ones(length, length, dtype=torch.bool, device=stretches_BT.device).tril()
    same_BTT = stretches_BT.unsqueeze(2) == stretches_BT.unsqueeze(1)
    return (causal_TT & same_BTT).unsqueeze(1)


def positions_in_stretch(stretches_BT: torch.Tensor) -> torch.Tensor:
    """Count positions (B, T) int64 from 0 at the start of every stretch."""
    t_BT = torch.arange(stretches_BT.shape[1], device=stretches_BT.device).expand_as(stretches_BT)
    is_start_BT = torch.ones_like(stretches_BT, dtype=torch.bool)
    is_start_BT[:, 1:] = stretches_BT[:, 1:] != stretches_BT[:, :-1]
    return t_BT - torch.where(is_start_BT, t_BT, 0).cummax(dim=1).values


class Attention(nn.Module):
    """Multi-head attention with biases; with `sub_norm`, a LayerNorm before the output projection (Magneto)."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, sub_norm: bool = False) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width) if sub_norm else nn.Identity()
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, x_BTM: torch.Tensor, y_BSM: torch.Tensor, mask_B1TS: torch.Tensor | None = None, xpos: XPos | None = None
    ) -> torch.Tensor:
        """Let x look at y, where the mask is True. Returns (B, T, M)."""
        q_BHTD, k_BHSD, v_BHSD = (
            projection(z).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, z in ((self.q_proj, x_BTM), (self.k_proj, y_BSM), (self.v_proj, y_BSM))
        )
        if xpos is not None:
            q_BHTD, k_BHSD = xpos.queries(q_BHTD), xpos.keys(k_BHSD)
        dropout = self.dropout if self.training else 0.0
        z_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD, mask_B1TS, dropout)
        out_BTM: torch.Tensor = self.out_proj(self.norm(z_BHTD.transpose(1, 2).flatten(2)))
        return out_BTM
