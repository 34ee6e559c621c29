"""Cross-entropy with soft targets at a temperature, dense and sparse.

Legend: B frames of a batch, P pdfs, K kept of a frame.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CACHE_VALUES = 1 << 18


def dense_soft_loss(logits_BP: Tensor, probs_BP: Tensor, temperature: float) -> Tensor:
    """``T^2 * mean_B(-sum_P p log softmax(z / T))`` in nats (Hinton, Vinyals & Dean 2015, section 2).

    The factor T^2 keeps the gradient's size when T changes: it is ``T (q - p) / B``.
    """
    return functional.cross_entropy(logits_BP / temperature, probs_BP) * temperature**2


def logit_loss(logits_BP: Tensor, targets_BP: Tensor) -> Tensor:
    """``mean_B(1 / 2P * sum_P (z - v)^2)``, z and v each zero-mean for each frame.

    The limit of `dense_soft_loss` for T to infinity, up to a constant (Hinton, Vinyals & Dean 2015, section 2.1;
    Bucila, Caruana & Niculescu-Mizil 2006): the gradients ``T (q - p) / B`` and ``(z - v) / (P B)`` become the same.
    """
    z_BP = logits_BP - logits_BP.mean(dim=1, keepdim=True)
    v_BP = targets_BP - targets_BP.mean(dim=1, keepdim=True)
    return functional.mse_loss(z_BP, v_BP) / 2


def sparse_soft_loss(
    logits_BP: Tensor, ids_BK: Tensor, probs_BK: Tensor, temperature: float, *, weight: float = 1.0
) -> Tensor:
    """As `dense_soft_loss`, for distributions given as class ids and probabilities that sum to one, times a weight.

    An id may stand more than once in a row; its probabilities add up. A weight given here costs nothing, one
    multiplied onto the loss costs another pass over the gradient.
    """
    loss: Tensor = _SparseSoftLoss.apply(logits_BP, ids_BK, probs_BK, temperature, weight)
    return loss


class _SparseSoftLoss(torch.autograd.Function):
    """Loss and gradient in one pass: the student's softmax with the few kept probabilities taken off.

    On the CPU a few rows at a time, which stay in its cache from the logits to the finished gradient: with 14,000
    classes, memory is the limit.
    """

    @staticmethod
    def forward(
        ctx: Any, logits_BP: Tensor, ids_BK: Tensor, probs_BK: Tensor, temperature: float, weight: float
    ) -> Tensor:
        probs_BK = probs_BK.to(logits_BP.dtype)
        gradient_BP = torch.empty_like(logits_BP)
        losses_B = logits_BP.new_empty(len(logits_BP))
        factor = weight * temperature / len(logits_BP)
        for rows in _stretches(logits_BP):
            q_RP, ids_RK, probs_RK = gradient_BP[rows], ids_BK[rows], probs_BK[rows]
            torch.div(logits_BP[rows], temperature, out=q_RP)
            picked_R = (q_RP.gather(1, ids_RK) * probs_RK).sum(dim=1)
            largest_R = q_RP.amax(dim=1)
            torch.softmax(q_RP, dim=1, out=q_RP)
            # The likeliest class tells the normaliser: log q = z / T - log_sum. Its q is never too small for a log.
            log_sum_R = largest_R - q_RP.amax(dim=1).log()
            torch.sub(log_sum_R, picked_R, out=losses_B[rows])
            q_RP.mul_(factor).scatter_add_(1, ids_RK, probs_RK * -factor)
        ctx.save_for_backward(gradient_BP)
        return losses_B.mean() * (weight * temperature**2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient_BP,) = ctx.saved_tensors
        done = gradient_BP.device.type == "cpu" and float(grads[0]) == 1.0
        return gradient_BP if done else gradient_BP * grads[0], None, None, None, None


def _stretches(logits_BP: Tensor) -> Iterator[slice]:
    """Rows that fit in a core's cache; all at once on a GPU, where every call costs more than it saves."""
    rows, classes = logits_BP.shape
    step = max(1, CACHE_VALUES // classes) if logits_BP.device.type == "cpu" else rows
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))
