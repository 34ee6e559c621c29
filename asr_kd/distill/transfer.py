"""A transfer set of several frame stores, each of which counts with a weight of its own.

Legend: N frames of the training set, B frames of a batch, R of them from one store, P pdfs.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from asr_kd.errors import UsageError
from asr_kd.train.frame_set import NO_LABEL, Batch
from asr_kd.train.objective import Objective


class WeightedStores:
    """An objective's terms as weighted means over a batch: ``sum_i w_i loss_i / sum_i w_i``, w that of i's store.

    A store of weight 2 counts as one that is there twice. Weights are relative, and the size of a step does not
    depend on them: each batch is divided by its own weights, those of labelled frames alone in the term ``hard``.

    Args:
        objective: its terms are means over a batch, ``hard`` over the labelled frames of it.
        labels_N: pdf ids of all stores' frames, -1 where a frame has none.
        counts: frames of each store, in the order of `labels_N`.
        weights: how much a frame of each store counts.

    Raises:
        UsageError: as `check_weights`.
    """

    def __init__(self, objective: Objective, labels_N: Tensor, counts: Sequence[int], weights: Sequence[float]) -> None:
        check_weights(weights, len(counts))
        self._objective, self._labels_N, self._weights = objective, labels_N, list(weights)
        self._ends = torch.tensor(counts).cumsum(0).to(labels_N.device)

    def losses(self, logits_BP: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The objective's terms, weighted."""
        store_B = torch.bucketize(batch.frames_B, self._ends, right=True)
        labelled_B = self._labels_N[batch.frames_B] != NO_LABEL
        parts: list[tuple[dict[str, Tensor], Tensor, Tensor]] = []
        for number, weight in enumerate(self._weights):
            rows_R = torch.nonzero(store_B == number).squeeze(1)
            if len(rows_R) and weight > 0:
                part = Batch(batch.frames_B[rows_R], batch.inputs_BW[rows_R])
                losses = self._objective.losses(logits_BP[rows_R], part)
                parts.append((losses, weight * torch.ones_like(rows_R).sum(), weight * labelled_B[rows_R].sum()))
        if not parts:  # a batch of frames that do not count
            return {name: 0.0 * loss for name, loss in self._objective.losses(logits_BP, batch).items()}
        frames = torch.stack([part[1] for part in parts]).sum()
        labels = torch.stack([part[2] for part in parts]).sum().clamp(min=torch.finfo(torch.float32).tiny)
        weighted: dict[str, Tensor] = {}
        for losses, own_frames, own_labels in parts:
            for name, loss in losses.items():
                share = own_labels / labels if name == "hard" else own_frames / frames
                weighted[name] = weighted.get(name, torch.zeros_like(loss)) + share * loss
        return weighted


def check_weights(weights: Sequence[float], num_stores: int) -> None:
    """Check that there is a weight for each frame store.

    Raises:
        UsageError: another number of weights, one that is negative or not finite, or none above 0.
    """
    if len(weights) != num_stores:
        raise UsageError(f"{num_stores} frame stores but {len(weights)} --transfer-weights; give one for each")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise UsageError("--transfer-weights must be finite and not negative, nor all 0")
