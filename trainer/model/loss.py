"""Cross-entropy in pieces, so that the logits of a wide vocabulary never lie in memory all at once.

Letters: N positions, M width of the model, V vocabulary. States come in fp32 or bf16; the loss is float32.
"""

import torch
from torch.autograd.function import once_differentiable

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
