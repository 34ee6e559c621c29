"""Muon: a hidden layer's update is the nearest orthogonal matrix, so that all directions are learnt at one pace.

Jordan et al. 2024, scaled to the length of Adam's updates (Liu et al. 2025), so that Adam's learning rates go with it.
Torch's own is for single matrices and for bf16 alone; this one is for those of several networks at once, too, and for
fp32 where bf16 is slow.

Legend: M networks of one shape, O outputs and I inputs of a layer.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Of Newton and Schulz's iteration: singular values come near 1 in few steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
MOMENTUM = 0.95
ADAMS_LENGTH = 0.2  # root of the mean square of a weight's update, over the learning rate
LEAST = 1e-7


class Muon(torch.optim.Optimizer):
    """The optimiser.

    Args:
        weights: each ``[O, I]`` or ``[M, O, I]``.
        half: whether to orthogonalise in bf16.
    """

    def __init__(self, weights: Sequence[Tensor], *, lr: float, weight_decay: float, half: bool) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})
        self._dtype = torch.bfloat16 if half else torch.float32

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            rate, decay = group["lr"], group["weight_decay"]
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                mean = state["momentum_buffer"].lerp_(weight.grad, 1 - MOMENTUM)
                update = orthogonalised(weight.grad.lerp(mean, MOMENTUM).to(self._dtype))
                weight.mul_(1 - rate * decay)
                weight.add_(update, alpha=-rate * ADAMS_LENGTH * math.sqrt(max(weight.shape[-2:])))


def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest orthogonal matrix, nearly: singular values of about 0.7 to 1.2. Takes and returns ``[.., O, I]``."""
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonalised(matrix.mT).mT
    product = torch.addmm if matrix.dim() == 2 else torch.baddbmm
    own, cube, fifth = COEFFICIENTS
    matrix = matrix / torch.linalg.matrix_norm(matrix, keepdim=True).clamp(min=LEAST)
    for _ in range(STEPS):
        gram = matrix @ matrix.mT
        matrix = product(matrix, product(gram, gram, gram, beta=cube, alpha=fifth), matrix, beta=own)
    return matrix
