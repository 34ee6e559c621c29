"""What a network is trained for: named losses, whose sum the loop minimises.

Legend: N frames of the training set, B frames of a batch, P pdfs.
"""

from typing import Protocol

import torch
from torch import Tensor

from asr_kd.train.cross_entropy import SparseTargets, sparse_cross_entropies
from asr_kd.train.frame_set import NO_LABEL, Batch


class Objective(Protocol):
    """A training criterion. It never sees how batches are made or weights are updated."""

    def losses(self, logits_BP: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Named losses, each already weighted and averaged over the batch; the loop adds them up."""
        ...


class HardTargets:
    """Cross-entropy with the labels of forced alignment.

    Args:
        labels_N: pdf ids, -1 where a frame has none; such frames do not count.
        weight: factor of the loss.
    """

    def __init__(self, labels_N: Tensor, weight: float = 1.0) -> None:
        self._labels_N = labels_N
        self._weight = weight

    def losses(self, logits_BP: Tensor, batch: Batch) -> dict[str, Tensor]:
        """``weight * mean(-log softmax(logits)[label])`` in nats, the batch's weighted mean over labelled frames."""
        (loss,) = sparse_cross_entropies(logits_BP, [self.targets(batch)])
        return {"hard": loss}

    def targets(self, batch: Batch) -> SparseTargets:
        """The labels as distributions of one class each."""
        labels_B = self._labels_N[batch.frames_B].long()
        counted_B = (labels_B != NO_LABEL).float()
        if batch.weights_B is not None:
            counted_B *= batch.weights_B
        weights_B = counted_B * (self._weight / counted_B.sum().clamp(min=1))
        return SparseTargets(labels_B.clamp(min=0)[:, None], torch.ones_like(counted_B)[:, None], weights_B)


def gradient_shares(losses: dict[str, Tensor], logits_BP: Tensor) -> dict[str, float]:
    """Each loss's share of the gradient's size at the logits, in 0..1: `||g_i|| / sum_j ||g_j||`."""
    norms = {
        name: float(torch.autograd.grad(loss, logits_BP, retain_graph=True)[0].norm())
        for name, loss in losses.items()
        if loss.requires_grad
    }
    total = sum(norms.values()) or 1.0
    return {name: norm / total for name, norm in norms.items()}
