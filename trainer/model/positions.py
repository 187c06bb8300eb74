"""Positions: xPos (arXiv 2212.10554), or the sinusoids of the original transformer.

Letters: B rows, T positions, H heads, D width of a head, P pairs of a head (D/2), M width of the model.
Everything here is computed in float32; xPos returns the dtype that it was given.
"""

import math

import torch

XPOS_SCALE_BASE = 512
SINUSOID_OFFSET = 2  # the first position, as in fairseq, whose padding holds the row before


class XPos:
    """The turn and the scale of every position of a batch, made once and used by all layers.

    Pair i of a head turns by n θᵢ, θᵢ = 10000^(−2i/D), and is scaled by ζᵢ^(n/512) in queries and ζᵢ^(−n/512) in keys,
    ζᵢ = (2i + 0.4 D) / (1.4 D): a product of query n and key m depends on n − m alone. So positions may be counted
    from any `centre`, the middle of a row by default, which keeps the powers small.
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
        """Turn and scale queries."""
        return _turn(q_BHTD, *self._query)

    def keys(self, k_BHTD: torch.Tensor) -> torch.Tensor:
        """Turn and scale keys."""
        return _turn(k_BHTD, *self._key)


def _turn(x_BHTD: torch.Tensor, cos_B1TP: torch.Tensor, sin_B1TP: torch.Tensor) -> torch.Tensor:
    """Turn neighbouring pairs (0, 1), (2, 3), ... of each head."""
    a_BHTP, b_BHTP = x_BHTD.float().view(*x_BHTD.shape[:-1], -1, 2).unbind(-1)
    turned = (a_BHTP * cos_B1TP - b_BHTP * sin_B1TP, b_BHTP * cos_B1TP + a_BHTP * sin_B1TP)
    return torch.stack(turned, -1).flatten(-2).to(x_BHTD.dtype)


def sinusoids(positions_BT: torch.Tensor, width: int) -> torch.Tensor:
    """Return the sinusoidal embedding of positions, (B, T, M) float32: sines in the first half, cosines in the second.

    As in fairseq and so in the released Kosmos-2: frequencies 10000^(−i/(M/2 − 1)), the first position counted as 2.
    """
    half = width // 2
    i = torch.arange(half, device=positions_BT.device, dtype=torch.float32)
    frequencies = torch.exp(-math.log(10_000) / (half - 1) * i)
    angle = (positions_BT + SINUSOID_OFFSET).float().unsqueeze(-1) * frequencies
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
