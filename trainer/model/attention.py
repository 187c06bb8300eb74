"""Attention on PyTorch kernels, with positions, attention masks and the KV cache.

Tensor letters: B rows, H heads, T positions of queries, S positions of keys, D width of a head, P = D / 2 pairs,
M width of the model.
"""

import math
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


@dataclass
class LayerCache:
    """Keys and values of one layer. `capacity` positions are allocated for each row; a full cache doubles."""

    capacity: int
    filled: int = 0
    keys_BHSD: torch.Tensor | None = None
    values_BHSD: torch.Tensor | None = None

    def extend(self, k_BHTD: torch.Tensor, v_BHTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Append positions; return the keys and values of all positions, (B, H, S + T, D) each."""
        last = self.filled + k_BHTD.shape[2]
        while self.capacity < last:
            self.capacity *= 2
        self.keys_BHSD = self._append(self.keys_BHSD, k_BHTD)
        self.values_BHSD = self._append(self.values_BHSD, v_BHTD)
        self.filled = last
        return self.keys_BHSD[:, :, :last], self.values_BHSD[:, :, :last]

    def select(self, rows: torch.Tensor) -> None:
        """Keep the rows at these indices, in this order."""
        if self.keys_BHSD is not None and self.values_BHSD is not None:
            self.keys_BHSD, self.values_BHSD = self.keys_BHSD[rows], self.values_BHSD[rows]

    def _append(self, kept_BHSD: torch.Tensor | None, new_BHTD: torch.Tensor) -> torch.Tensor:
        rows, heads, length, width = new_BHTD.shape
        if kept_BHSD is None or kept_BHSD.shape[2] < self.capacity:
            larger_BHSD = new_BHTD.new_empty(rows, heads, self.capacity, width)
            if kept_BHSD is not None:
                larger_BHSD[:, :, : self.filled] = kept_BHSD[:, :, : self.filled]
            kept_BHSD = larger_BHSD
        kept_BHSD[:, :, self.filled : self.filled + length] = new_BHTD
        return kept_BHSD


@dataclass
class Cache:
    """The KV caches of all layers, for rows of about `capacity` positions."""

    num_layers: int
    capacity: int
    layers: list[LayerCache] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = [LayerCache(self.capacity) for _ in range(self.num_layers)]

    @property
    def centre(self) -> int:
        """The position from which xPos counts, constant over the life of the cache."""
        return self.capacity // 2

    @property
    def num_rows(self) -> int:
        """Number of rows in the cache."""
        kept_BHSD = self.layers[0].keys_BHSD
        return 0 if kept_BHSD is None else len(kept_BHSD)

    def select(self, rows: torch.Tensor) -> None:
        """Keep the rows at these indices, in this order."""
        for layer in self.layers:
            layer.select(rows)


XPOS_SCALE_BASE = 512
SINUSOID_OFFSET = 2  # index of the first position, as in fairseq, where the row before it is padding


class XPos:
    """xPos: rotation and scale of every position of a batch, computed once for all layers.

    Pair i of a head is rotated by n θᵢ, θᵢ = 10000^(−2i/D), and scaled by ζᵢ^(n/512) in queries and ζᵢ^(−n/512) in
    keys, ζᵢ = (2i + 0.4 D) / (1.4 D). The product of query n and key m depends only on n − m, so positions can be
    counted from any `centre`; the middle of a row, the default, keeps the powers small.
    """

    def __init__(self, positions_BT: torch.Tensor, head_width: int, centre: int | None = None) -> None:
        centre = positions_BT.shape[1] // 2 if centre is None else centre
        n_BT1 = (positions_BT - centre).float().unsqueeze(-1)
        even_P = torch.arange(0, head_width, 2, device=positions_BT.device, dtype=torch.float32)
        angle_BTP = n_BT1 * 10_000 ** (-even_P / head_width)
        zeta_P = (even_P + 0.4 * head_width) / (1.4 * head_width)
        scale_B1TP = (zeta_P ** (n_BT1 / XPOS_SCALE_BASE)).unsqueeze(1)
        cos_B1TP, sin_B1TP = angle_BTP.cos().unsqueeze(1), angle_BTP.sin().unsqueeze(1)
        self._query = (cos_B1TP * scale_B1TP, sin_B1TP * scale_B1TP)
        self._key = (cos_B1TP / scale_B1TP, sin_B1TP / scale_B1TP)

    def queries(self, q_BHTD: torch.Tensor) -> torch.Tensor:
        """Rotate and scale queries."""
        return _rotate(q_BHTD, *self._query)

    def keys(self, k_BHTD: torch.Tensor) -> torch.Tensor:
        """Rotate and scale keys."""
        return _rotate(k_BHTD, *self._key)


def _rotate(x_BHTD: torch.Tensor, cos_B1TP: torch.Tensor, sin_B1TP: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring pairs (0, 1), (2, 3), ... of each head."""
    a_BHTP, b_BHTP = x_BHTD.float().view(*x_BHTD.shape[:-1], -1, 2).unbind(-1)
    rotated = (a_BHTP * cos_B1TP - b_BHTP * sin_B1TP, b_BHTP * cos_B1TP + a_BHTP * sin_B1TP)
    return torch.stack(rotated, -1).flatten(-2).to(x_BHTD.dtype)


def sinusoids(positions_BT: torch.Tensor, width: int) -> torch.Tensor:
    """Return the sinusoidal embedding of positions, (B, T, M) float32: sines in the first half, cosines in the second.

    As in fairseq, and so in the released Kosmos-2: frequencies 10000^(−i/(M/2 − 1)); positions count from 2.
    """
    half = width // 2
    i = torch.arange(half, device=positions_BT.device, dtype=torch.float32)
    frequencies = torch.exp(-math.log(10_000) / (half - 1) * i)
    angle = (positions_BT + SINUSOID_OFFSET).float().unsqueeze(-1) * frequencies
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


AttentionMask = torch.Tensor | BlockMask | None
"""A mask (B, 1, T, S), True where a query attends to a key; a block mask; or None: causal attention only."""


def attention_mask(segment_ids_BS: torch.Tensor) -> torch.Tensor:
    """Return the mask (B, 1, S, S): True for positions up to the query's own in the same segment."""
    length = segment_ids_BS.shape[1]
    causal_SS = torch.ones(length, length, dtype=torch.bool, device=segment_ids_BS.device).tril()
    same_BSS = segment_ids_BS.unsqueeze(2) == segment_ids_BS.unsqueeze(1)
    return (causal_SS & same_BSS).unsqueeze(1)


def block_mask(segment_ids_BS: torch.Tensor) -> BlockMask:
    """Return the same mask as blocks; FlexAttention skips blocks that are masked out."""
    rows, length = segment_ids_BS.shape

    def attends(b: torch.Tensor, _head: torch.Tensor, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return (s <= t) & (segment_ids_BS[b, t] == segment_ids_BS[b, s])

    return create_block_mask(attends, rows, None, length, length, device=segment_ids_BS.device)


def positions_in_segment(segment_ids_BS: torch.Tensor) -> torch.Tensor:
    """Return positions (B, S) that count from 0 in every segment."""
    s_BS = torch.arange(segment_ids_BS.shape[1], device=segment_ids_BS.device).expand_as(segment_ids_BS)
    is_start_BS = torch.ones_like(segment_ids_BS, dtype=torch.bool)
    is_start_BS[:, 1:] = segment_ids_BS[:, 1:] != segment_ids_BS[:, :-1]
    return s_BS - torch.where(is_start_BS, s_BS, 0).cummax(dim=1).values


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
        mask: AttentionMask = None,
        xpos: XPos | None = None,
        cache: LayerCache | None = None,
    ) -> torch.Tensor:
        """Let x attend to y, and to earlier positions in the cache. Returns (B, T, M).

        Without a mask, x attends to all of y, or if `causal` to positions up to its own.
        """
        q_BHTD, k_BHSD, v_BHSD = (
            projection(z).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, z in ((self.q_proj, x_BTM), (self.k_proj, y_BSM), (self.v_proj, y_BSM))
        )
        if xpos is not None:
            q_BHTD, k_BHSD = xpos.queries(q_BHTD), xpos.keys(k_BHSD)
        if cache is not None:
            k_BHSD, v_BHSD = cache.extend(k_BHSD, v_BHSD)
        if isinstance(mask, BlockMask):
            z_BHTD = _flex(q_BHTD.is_cuda)(q_BHTD, k_BHSD, v_BHSD, block_mask=mask)
        else:
            dropout, causal = self.dropout if self.training else 0.0, self.causal and mask is None
            z_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD, mask, dropout, causal)
        out_BTM: torch.Tensor = self.out_proj(self.norm(z_BHTD.transpose(1, 2).flatten(2)))
        return out_BTM


@cache
def _flex(compiled: bool):  # type: ignore[no-untyped-def]
    """Return FlexAttention, compiled to a kernel on GPUs. On CPUs it computes all products, as a reference."""
    return torch.compile(flex_attention, dynamic=False) if compiled else flex_attention
