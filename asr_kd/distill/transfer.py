"""A transfer set of several frame stores, each of which counts with a weight of its own.

Legend: B frames of a batch, S stores, P pdfs.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from asr_kd.errors import UsageError
from asr_kd.train.frame_set import Batch
from asr_kd.train.objective import Objective


class WeightedStores:
    """An objective's terms as weighted means over a batch: ``sum_i w_i loss_i / sum_i w_i``, w that of i's store.

    A store of weight 2 counts as one that is there twice. Weights are relative, and the size of a step does not
    depend on them: each batch is divided by its own weights, those of labelled frames alone in the term ``hard``.

    Args:
        objective: its terms are means over a batch with the batch's weights, ``hard`` over the labelled frames of it.
        counts: frames of each store, in the order in which they are numbered through.
        weights: how much a frame of each store counts.
        device: of the batches.

    Raises:
        UsageError: as `check_weights`.
    """

    def __init__(
        self, objective: Objective, counts: Sequence[int], weights: Sequence[float], *, device: torch.device
    ) -> None:
        check_weights(weights, len(counts))
        self._objective = objective
        least = min(weight for weight in weights if weight > 0)
        self._weights_S = torch.tensor([weight / least for weight in weights], device=device)
        self._ends_S = torch.tensor(counts).cumsum(0).to(device)

    def losses(self, logits_BP: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The objective's terms, weighted. Nothing is counted on the host: a GPU would be waited for at each step."""
        store_B = torch.bucketize(batch.frames_B, self._ends_S, right=True)
        return self._objective.losses(logits_BP, replace(batch, weights_B=self._weights_S[store_B]))


def check_weights(weights: Sequence[float], num_stores: int) -> None:
    """Check that there is a weight for each frame store.

    Raises:
        UsageError: another number of weights, one that is negative or not finite, or none above 0.
    """
    if len(weights) != num_stores:
        raise UsageError(f"{num_stores} frame stores but {len(weights)} --transfer-weights; give one for each")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise UsageError("--transfer-weights must be finite and not negative, nor all 0")
