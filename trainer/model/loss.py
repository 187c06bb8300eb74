"""Cross-entropy in pieces, so that the logits of a wide vocabulary never lie in memory all at once.

Letters: N positions, M width of the model, V vocabulary. States come in fp32 or bf16; the loss is float32.
"""

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

CHUNK = 2048  # positions whose logits lie in memory together


def cross_entropy_sum(
    x_NM: torch.Tensor, embedding_VM: torch.Tensor, targets_N: torch.Tensor, ignored: int
) -> torch.Tensor:
    """Return the summed loss of predicting the targets, () float32; positions whose target is `ignored` do not count.

    The caller divides by the number of targets of the whole step, over all processes and micro-steps.
    """
    counted_N = targets_N != ignored
    x_NM, targets_N = x_NM[counted_N], targets_N[counted_N]
    pieces = zip(torch.split(x_NM, CHUNK), torch.split(targets_N, CHUNK), strict=True)
    return torch.stack([checkpoint(_piece, x, embedding_VM, t, use_reentrant=False) for x, t in pieces]).sum()


def _piece(x_NM: torch.Tensor, embedding_VM: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy((x_NM @ embedding_VM.T).float(), targets_N, reduction="sum")
