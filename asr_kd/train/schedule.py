"""Optimisers, and the learning rate over a training run."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr_kd.errors import UsageError
from asr_kd.nets.group import DNNGroup
from asr_kd.options import option
from asr_kd.train.muon import Muon
from asr_kd.train.optimizers import SGD, AdamW, Optimizer


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """How weights are updated."""

    optimizer: str = option(
        "adam; sgd with Nesterov momentum; muon: hidden layers by orthogonalised updates, the rest by adam",
        default="adam",
        choices=("adam", "sgd", "muon"),
    )
    learning_rate: float = option("learning rate at the start", default=1e-3)
    final_learning_rate: float = option("cosine: learning rate at the end, as a part of the first", default=0.01)
    momentum: float = option("sgd: momentum", default=0.9)
    weight_decay: float = option("pull of the weights towards zero, beside the gradient (sgd: in it)", default=0.0)
    max_norm: float | None = option(
        "largest length of a unit's incoming weights: longer ones are scaled down after a step", default=None
    )
    schedule: str = option(
        "cosine: falls smoothly over --num-epochs. newbob: halves whenever an epoch brings the dev set's "
        "cross-entropy down by less than --newbob-threshold, and goes back to the best weights if it rose",
        default="cosine",
        choices=("cosine", "newbob"),
    )
    newbob_threshold: float = option("newbob: least relative gain an epoch must bring", default=0.01)
    newbob_halvings: int = option("newbob: training ends after so many halvings", default=5)

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"--learning-rate must be above 0 and finite, got {self.learning_rate}")
        if not 0 <= self.final_learning_rate < math.inf:
            raise UsageError(f"--final-learning-rate must be at least 0 and finite, got {self.final_learning_rate}")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"--momentum must be at least 0 and below 1, got {self.momentum}")
        if not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"--weight-decay must be at least 0 and finite, got {self.weight_decay}")
        if self.max_norm is not None and not self.max_norm > 0:
            raise UsageError(f"--max-norm must be above 0, got {self.max_norm}")
        if self.newbob_halvings < 1:
            raise UsageError(f"--newbob-halvings must be at least 1, got {self.newbob_halvings}")


def make_optimizers(net: nn.Module, options: OptimizerOptions, *, half: bool = False) -> list[Optimizer]:
    """The optimisers of a network's weights.

    Muon takes about 18 n^3 operations for a layer of n x n, a step 6 B n^2: batches of several times n.

    Args:
        half: whether products are fastest in bf16.
    """
    decay = options.weight_decay
    if options.optimizer == "sgd":
        return [SGD(net.parameters(), momentum=options.momentum, weight_decay=decay)]
    if options.optimizer == "adam":
        return [AdamW(net.parameters(), weight_decay=decay)]
    matrices = hidden_matrices(net)
    chosen = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in net.parameters() if id(parameter) not in chosen]
    return [AdamW(others, weight_decay=decay), Muon(matrices, weight_decay=decay, half=half)]


def hidden_matrices(net: nn.Module) -> list[Tensor]:
    """The weights of all linear layers but the last, which puts out the logits; those of a group are ``[M, O, I]``."""
    if isinstance(net, DNNGroup):
        return list(net.weights_MOI)[:-1]
    return [module.weight for module in net.modules() if isinstance(module, nn.Linear)][:-1]


@torch.no_grad()
def limit_norms(net: nn.Module, max_norm: float) -> None:
    """Scale down the incoming weights of every unit whose length exceeds ``max_norm`` (Srivastava et al. 2014)."""
    for name, weight in net.named_parameters():
        if "weight" in name:
            weight.mul_((max_norm / weight.norm(dim=-1, keepdim=True)).clamp_(max=1.0))


def cosine_factor(progress: float, final: float) -> float:
    """Learning rate over the first one at ``progress`` 0..1: half a cosine from 1 to ``final``."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@dataclass
class NewBob:
    """Learning rate steered by the dev set.

    Args:
        factor: of the first learning rate, now.
        best: lowest cross-entropy of the dev set so far.
        halvings: how often it was halved.
    """

    factor: float = 1.0
    best: float = math.inf
    halvings: int = 0

    def update(self, cross_entropy: float, options: OptimizerOptions) -> bool:
        """Take in an epoch's result; returns whether the weights are the best so far."""
        improved = cross_entropy < self.best
        enough = cross_entropy < self.best * (1 - options.newbob_threshold)
        self.best = min(self.best, cross_entropy)
        if not enough:
            self.factor /= 2
            self.halvings += 1
        return improved
