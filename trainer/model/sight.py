"""Sight: which positions of a row each position looks at, and how far into its own stretch it stands.

A row holds stretches of several documents, numbered in `stretches_BS`; 0 is padding. A position looks back, inside its
own stretch. Letters: B rows, S positions of a row, T of them that look (the last ones).
Masks are bool, or blocks for FlexAttention; stretches and positions are int64.
"""

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

Sight = torch.Tensor | BlockMask | None
"""A mask (B, 1, T, S), True where a position looks; the same by blocks; or None: at all positions up to its own."""


def sight(stretches_BS: torch.Tensor) -> torch.Tensor:
    """Return the mask (B, 1, S, S), True where a position looks."""
    length = stretches_BS.shape[1]
    causal_SS = torch.ones(length, length, dtype=torch.bool, device=stretches_BS.device).tril()
    same_BSS = stretches_BS.unsqueeze(2) == stretches_BS.unsqueeze(1)
    return (causal_SS & same_BSS).unsqueeze(1)


def sight_by_blocks(stretches_BS: torch.Tensor) -> BlockMask:
    """Return the same for all positions, as blocks: FlexAttention passes over those in which nobody looks."""
    rows, length = stretches_BS.shape

    def looks(b: torch.Tensor, _head: torch.Tensor, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return (s <= t) & (stretches_BS[b, t] == stretches_BS[b, s])

    return create_block_mask(looks, rows, None, length, length, device=stretches_BS.device)


def positions_in_stretch(stretches_BS: torch.Tensor) -> torch.Tensor:
    """Count positions (B, S) from 0 at the start of every stretch."""
    s_BS = torch.arange(stretches_BS.shape[1], device=stretches_BS.device).expand_as(stretches_BS)
    is_start_BS = torch.ones_like(stretches_BS, dtype=torch.bool)
    is_start_BS[:, 1:] = stretches_BS[:, 1:] != stretches_BS[:, :-1]
    return s_BS - torch.where(is_start_BS, s_BS, 0).cummax(dim=1).values
