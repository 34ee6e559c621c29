"""Cross-entropy with distributions of a few classes each, such as labels: losses and gradient in one pass.

Legend: B frames of a batch, R rows at a time, P pdfs, K classes given of a frame.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

CACHE_VALUES = 1 << 20
SAFE_SUMS = (2.0**-90, 2.0**90)  # of powers: what is too small for fp32 or bf16 does not count beside such a sum


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
    of classes, memory is the limit. Whatever does not touch all classes is done for the whole batch, since each call
    costs as much as thousands of classes.
    """
    gradient_BP, rows = torch.empty_like(logits_BP), _rows_at_a_time(logits_BP)
    terms = [_Term.of(one, factor, logits_BP) for one, factor in zip(targets, factors, strict=True)]
    pieces = [term.split(rows) for term in terms]
    for logits_RP, gradient_RP in zip(*_split(rows, logits_BP, gradient_BP), strict=True):
        for number, piece in enumerate(pieces):
            part = next(piece)
            q_RP = gradient_RP if number == 0 else torch.empty_like(logits_RP)
            torch.gather(logits_RP, 1, part.ids_BK, out=part.picked_BK)
            part.exponentiate(logits_RP, q_RP)
            q_RP.mul_(part.pull_B1 / part.sum_B1).scatter_add_(1, part.ids_BK, part.pulled_BK)
            if number > 0:
                gradient_RP += q_RP
    return gradient_BP, tuple(term.loss(one) for term, one in zip(terms, targets, strict=True))


@dataclass(frozen=True)
class _Term:
    """One of the targets, and what is found out about the rows on the way; or a few of its rows.

    Attributes:
        temperature: T.
        ids_BK: the classes.
        pull_B1: ``w T``, of the softmax.
        pulled_BK: ``-w T p``, of the classes.
        base_B1: to be filled: what is taken off the logits, so that no power leaves the range of numbers.
        sum_B1: to be filled: ``sum exp((z - base) / T)``.
        picked_BK: to be filled: logits of the classes.
    """

    temperature: float
    ids_BK: Tensor
    pull_B1: Tensor
    pulled_BK: Tensor
    base_B1: Tensor
    sum_B1: Tensor
    picked_BK: Tensor

    @classmethod
    def of(cls, targets: SparseTargets, factor: float, logits_BP: Tensor) -> "_Term":
        pull_B1 = targets.weights_B[:, None].to(logits_BP.dtype) * (targets.temperature * factor)
        pulled_BK = targets.probs_BK.to(logits_BP.dtype) * -pull_B1
        return cls(
            temperature=targets.temperature,
            ids_BK=targets.ids_BK,
            pull_B1=pull_B1,
            pulled_BK=pulled_BK,
            base_B1=torch.zeros_like(pull_B1),
            sum_B1=torch.empty_like(pull_B1),
            picked_BK=torch.empty_like(pulled_BK),
        )

    def split(self, rows: int) -> Iterator["_Term"]:
        """A few rows at a time; they share the memory."""
        values = (self.ids_BK, self.pull_B1, self.pulled_BK, self.base_B1, self.sum_B1, self.picked_BK)
        return (_Term(self.temperature, *some) for some in zip(*_split(rows, *values), strict=True))

    def exponentiate(self, logits_RP: Tensor, out_RP: Tensor) -> None:
        """``exp((z - base) / T)``, and its sum.

        A network's logits mostly lie near zero and need no base. On the CPU that is tried first, since finding the
        largest is one more pass over all of them; to ask a GPU whether it went well would be to wait for it.
        """
        # Powers of 2 are cheaper than those of e, and their sum is the normaliser of loss and gradient alike.
        bits = 1 / (self.temperature * math.log(2))
        if logits_RP.device.type == "cpu":
            torch.sum(torch.mul(logits_RP, bits, out=out_RP).exp2_(), dim=1, keepdim=True, out=self.sum_B1)
            if bool(((self.sum_B1 > SAFE_SUMS[0]) & (self.sum_B1 < SAFE_SUMS[1])).all()):
                return
        torch.amax(logits_RP, dim=1, keepdim=True, out=self.base_B1)
        torch.add(self.base_B1 * -bits, logits_RP, alpha=bits, out=out_RP).exp2_()
        torch.sum(out_RP, dim=1, keepdim=True, out=self.sum_B1)

    def loss(self, targets: SparseTargets) -> Tensor:
        """``sum_B w * T^2 * -sum_K p log softmax(z / T)``, once all rows are filled."""
        log_sum_B = (self.base_B1 / self.temperature + self.sum_B1.log()).squeeze(1)
        probs_BK, weights_B = targets.probs_BK.to(log_sum_B.dtype), targets.weights_B.to(log_sum_B.dtype)
        entropy_B = log_sum_B - (self.picked_BK * probs_BK).sum(dim=1) / self.temperature
        return (entropy_B @ weights_B) * self.temperature**2


def _split(rows: int, *values: Tensor) -> list[tuple[Tensor, ...]]:
    return [value.split(rows) if rows < len(value) else (value,) for value in values]


def _rows_at_a_time(logits_BP: Tensor) -> int:
    """As many as fit in a core's cache; all on a GPU, where every call costs more than it saves."""
    rows, classes = logits_BP.shape
    return max(1, CACHE_VALUES // classes if logits_BP.device.type == "cpu" else rows)
