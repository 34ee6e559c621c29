"""Cross-entropy with distributions of a few classes each, such as labels: losses and gradient in one pass.

Legend: B frames of a batch, R rows at a time, P pdfs, K classes given of a frame.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

CACHE_VALUES = 1 << 19


@dataclass(frozen=True)
class SparseTargets:
    """What a batch should be, and how much that counts.

    Attributes:
        ids_BK: classes. One may stand more than once in a row; its probabilities add up.
        probs_BK: their probabilities, which sum to one in every row.
        weights_B: of each frame; one of 0 has no loss and no gradient.
        temperature: T.
    """

    ids_BK: Tensor
    probs_BK: Tensor
    weights_B: Tensor
    temperature: float = 1.0


def sparse_cross_entropies(logits_BP: Tensor, targets: Sequence[SparseTargets]) -> tuple[Tensor, ...]:
    """``sum_B w * T^2 * -sum_K p log softmax(z / T)`` in nats, of each of the targets."""
    if logits_BP.device.type != "cpu":
        # To ask a GPU whether all losses are wanted as they are would be to wait for it.
        return tuple(_SparseCrossEntropies.apply(logits_BP, (one,))[0] for one in targets)
    losses: tuple[Tensor, ...] = _SparseCrossEntropies.apply(logits_BP, tuple(targets))
    return losses


class _SparseCrossEntropies(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_BP: Tensor, targets: Sequence[SparseTargets]) -> tuple[Tensor, ...]:
        gradient_BP, losses = _gradient(logits_BP, targets, [1.0] * len(targets))
        ctx.save_for_backward(logits_BP, gradient_BP)
        ctx.targets = targets
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        logits_BP, gradient_BP = ctx.saved_tensors
        if logits_BP.device.type != "cpu":
            return gradient_BP * grads[0], None
        factors = [float(grad) for grad in grads]
        if any(factor != 1.0 for factor in factors):
            gradient_BP, _ = _gradient(logits_BP, ctx.targets, factors)
        return gradient_BP, None


def _gradient(
    logits_BP: Tensor, targets: Sequence[SparseTargets], factors: Sequence[float]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The losses, and the gradient of their sum with factors: a softmax with the given probabilities taken off.

    On the CPU a few rows at a time, which stay in its cache from the logits to the finished gradient: with thousands
    of classes, memory is the limit.
    """
    gradient_BP = torch.empty_like(logits_BP)
    losses_B = [logits_BP.new_empty(len(logits_BP)) for _ in targets]
    for rows in _stretches(logits_BP):
        logits_RP = logits_BP[rows]
        largest_R1 = logits_RP.amax(dim=1, keepdim=True)
        for number, (one, factor) in enumerate(zip(targets, factors, strict=True)):
            q_RP = gradient_BP[rows] if number == 0 else torch.empty_like(logits_RP)
            ids_RK, probs_RK = one.ids_BK[rows], one.probs_BK[rows].to(logits_BP.dtype)
            factor_R1 = one.weights_B[rows, None].to(logits_BP.dtype) * (one.temperature * factor)
            # Powers of 2 are cheaper than those of e, and their sum is the normaliser of loss and gradient alike.
            bits = 1 / (one.temperature * math.log(2))
            torch.add(largest_R1 * -bits, logits_RP, alpha=bits, out=q_RP).exp2_()
            sum_R1 = q_RP.sum(dim=1, keepdim=True)
            picked_R = (logits_RP.gather(1, ids_RK) * probs_RK).sum(dim=1) / one.temperature
            log_sum_R = (largest_R1 / one.temperature + sum_R1.log()).squeeze(1)
            torch.sub(log_sum_R, picked_R, out=losses_B[number][rows])
            q_RP.mul_(factor_R1 / sum_R1).scatter_add_(1, ids_RK, probs_RK * -factor_R1)
            if number > 0:
                gradient_BP[rows] += q_RP
    weighted = ((losses_B[n] @ one.weights_B.to(logits_BP.dtype)) * one.temperature**2 for n, one in enumerate(targets))
    return gradient_BP, tuple(weighted)


def _stretches(logits_BP: Tensor) -> Iterator[slice]:
    """Rows that fit in a core's cache; all at once on a GPU, where every call costs more than it saves."""
    rows, classes = logits_BP.shape
    step = max(1, CACHE_VALUES // classes) if logits_BP.device.type == "cpu" else rows
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))
