"""Distillation as in Hinton, Vinyals & Dean 2015: soft targets at a temperature beside hard labels at 1.

``soft_weight * T^2 * CE(p_T, q_T) + hard_weight * CE(y, q_1)``

Legend: N frames of the training set, B frames of a batch, P pdfs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from asr_kd.distill.soft_loss import dense_soft_loss, logit_loss, sparse_soft_targets
from asr_kd.errors import UsageError
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.options import option
from asr_kd.targets.ensemble import ensemble_targets
from asr_kd.targets.store import TargetReader
from asr_kd.train.cross_entropy import SparseTargets, sparse_cross_entropies
from asr_kd.train.frame_set import Batch
from asr_kd.train.objective import HardTargets


@dataclass(frozen=True, kw_only=True)
class DistillWeights:
    """How much each term counts; both are always said."""

    soft_weight: float = option("weight of the soft targets' term, which is multiplied by T^2")
    hard_weight: float = option("weight of the labels' term")

    def __post_init__(self) -> None:
        if self.soft_weight < 0 or self.hard_weight < 0 or self.soft_weight + self.hard_weight == 0:
            raise UsageError("--soft-weight and --hard-weight must not be negative, nor both 0")


class StoredTeacher:
    """Soft targets read from stores."""

    def __init__(self, reader: TargetReader) -> None:
        self._reader = reader
        self.temperature = reader.temperature

    def loss(self, logits_BP: Tensor, batch: Batch, weight: float) -> Tensor:
        """The soft term, with T^2, times its weight; of dense targets."""
        probs_BP = self._reader.dense_batch(batch.frames_B)
        return weight * dense_soft_loss(logits_BP, probs_BP, self.temperature, batch.weights_B)

    def sparse_targets(self, batch: Batch, weight: float) -> SparseTargets | None:
        """What the soft term's targets are where they are sparse."""
        if self._reader.dense:
            return None
        return sparse_soft_targets(
            *self._reader.sparse_batch(batch.frames_B), self.temperature, weight=weight, weights_B=batch.weights_B
        )


class StoredLogits:
    """The ensemble's mean logits read from stores, and matched: the soft term at the limit of high temperatures."""

    def __init__(self, reader: TargetReader) -> None:
        self._reader = reader

    def loss(self, logits_BP: Tensor, batch: Batch, weight: float) -> Tensor:
        """Half the mean squared difference of the zero-mean logits, times its weight."""
        return weight * logit_loss(logits_BP, self._reader.logits_batch(batch.frames_B), batch.weights_B)


class LiveTeacher:
    """Soft targets computed by the ensemble for every batch."""

    def __init__(self, members: Sequence[AcousticModel], *, temperature: float, mean: str) -> None:
        self._members = members
        self._mean = mean
        self.temperature = temperature

    def loss(self, logits_BP: Tensor, batch: Batch, weight: float) -> Tensor:
        """The soft term, with T^2, times its weight."""
        with torch.inference_mode():
            probs_BP = ensemble_targets(self._members, batch.inputs_BW, temperature=self.temperature, mean=self._mean)
        return weight * dense_soft_loss(logits_BP, probs_BP.clone(), self.temperature, batch.weights_B)


class DistillObjective:
    """The paper's objective.

    Args:
        labels_N: pdf ids, -1 where a frame has none: the hard term counts labelled frames alone.
    """

    def __init__(
        self, teacher: StoredTeacher | StoredLogits | LiveTeacher, labels_N: Tensor, weights: DistillWeights
    ) -> None:
        self._teacher = teacher
        self._weights = weights
        self._hard = HardTargets(labels_N, weights.hard_weight)

    def losses(self, logits_BP: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The terms ``soft`` and ``hard``, weighted; a term of weight 0 is not computed."""
        losses: dict[str, Tensor] = {}
        sparse: dict[str, SparseTargets] = {}
        weight = self._weights.soft_weight
        if weight > 0:
            soft = self._teacher.sparse_targets(batch, weight) if isinstance(self._teacher, StoredTeacher) else None
            if soft is not None:
                sparse["soft"] = soft
            else:
                losses["soft"] = self._teacher.loss(logits_BP, batch, weight)
        if self._weights.hard_weight > 0:
            sparse["hard"] = self._hard.targets(batch)
        if sparse:
            losses |= zip(sparse, sparse_cross_entropies(logits_BP, list(sparse.values())), strict=True)
        return losses
