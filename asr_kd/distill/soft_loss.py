"""Cross-entropy with soft targets at a temperature, dense and sparse.

Legend: B frames of a batch, P pdfs, K kept of a frame.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def dense_soft_loss(logits_BP: Tensor, probs_BP: Tensor, temperature: float) -> Tensor:
    """``T^2 * mean_B(-sum_P p log softmax(z / T))`` in nats (Hinton, Vinyals & Dean 2015, section 2).

    The factor T^2 keeps the gradient's size when T changes: it is ``T (q - p) / B``.
    """
    return functional.cross_entropy(logits_BP / temperature, probs_BP) * temperature**2


def sparse_soft_loss(logits_BP: Tensor, ids_BK: Tensor, probs_BK: Tensor, temperature: float) -> Tensor:
    """As `dense_soft_loss`, for distributions given as class ids and probabilities that sum to one.

    An id may stand more than once in a row; its probabilities add up.
    """
    loss: Tensor = _SparseSoftLoss.apply(logits_BP, ids_BK, probs_BK, temperature)
    return loss


class _SparseSoftLoss(torch.autograd.Function):
    """The gradient is the student's softmax with the few kept probabilities taken off, made in place."""

    @staticmethod
    def forward(ctx: Any, logits_BP: Tensor, ids_BK: Tensor, probs_BK: Tensor, temperature: float) -> Tensor:
        scaled_BP = logits_BP / temperature
        log_sum_B = torch.logsumexp(scaled_BP, dim=1)
        picked_B = (scaled_BP.gather(1, ids_BK) * probs_BK).sum(dim=1)
        ctx.save_for_backward(scaled_BP, log_sum_B, ids_BK, probs_BK)
        ctx.temperature = temperature
        return (log_sum_B - picked_B).mean() * temperature**2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        scaled_BP, log_sum_B, ids_BK, probs_BK = ctx.saved_tensors
        q_BP = (scaled_BP - log_sum_B[:, None]).exp_()
        q_BP.scatter_add_(1, ids_BK, -probs_BK)
        return q_BP.mul_(grads[0] * ctx.temperature / len(q_BP)), None, None, None
