"""Cross-entropy with distributions of a few classes each, such as labels: loss and gradient in one pass.

Legend: B frames of a batch, R rows at a time, P pdfs, K classes given of a frame.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CACHE_VALUES = 1 << 18


def sparse_cross_entropy(
    logits_BP: Tensor, ids_BK: Tensor, probs_BK: Tensor, weights_B: Tensor, temperature: float = 1.0
) -> Tensor:
    """``sum_B w * T^2 * -sum_K p log softmax(z / T)`` in nats, for probabilities that sum to one in every row.

    An id may stand more than once in a row; its probabilities add up.

    Args:
        weights_B: of each frame; one of 0 has no loss and no gradient.
    """
    loss: Tensor = _SparseCrossEntropy.apply(logits_BP, ids_BK, probs_BK, weights_B, temperature)
    return loss


class _SparseCrossEntropy(torch.autograd.Function):
    """The softmax with the few given probabilities taken off is the gradient, ``T w (q - p)``.

    On the CPU a few rows at a time, which stay in its cache from the logits to the finished gradient: with thousands
    of classes, memory is the limit.
    """

    @staticmethod
    def forward(
        ctx: Any, logits_BP: Tensor, ids_BK: Tensor, probs_BK: Tensor, weights_B: Tensor, temperature: float
    ) -> Tensor:
        probs_BK, weights_B = probs_BK.to(logits_BP.dtype), weights_B.to(logits_BP.dtype)
        gradient_BP = torch.empty_like(logits_BP)
        losses_B = logits_BP.new_empty(len(logits_BP))
        for rows in _stretches(logits_BP):
            q_RP, ids_RK, probs_RK = gradient_BP[rows], ids_BK[rows], probs_BK[rows]
            factor_R1 = weights_B[rows, None] * temperature
            torch.div(logits_BP[rows], temperature, out=q_RP)
            picked_R = (q_RP.gather(1, ids_RK) * probs_RK).sum(dim=1)
            largest_R = q_RP.amax(dim=1)
            torch.softmax(q_RP, dim=1, out=q_RP)
            # The likeliest class tells the normaliser: log q = z / T - log_sum. Its q is never too small for a log.
            log_sum_R = largest_R - q_RP.amax(dim=1).log()
            torch.sub(log_sum_R, picked_R, out=losses_B[rows])
            q_RP.mul_(factor_R1).scatter_add_(1, ids_RK, probs_RK * -factor_R1)
        ctx.save_for_backward(gradient_BP)
        return (losses_B @ weights_B) * temperature**2

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
