"""Muon: a hidden layer's update is the nearest orthogonal matrix, so that all directions are learnt at one pace.

Jordan et al. 2024, scaled to the length of Adam's updates (Liu et al. 2025), so that Adam's learning rates go with it.
Torch's own is for single matrices and for bf16 alone; this one is for those of several networks at once, too, and for
fp32 where bf16 is slow.

Legend: M networks of one shape, O outputs and I inputs of a layer.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from asr_kd.train.optimizers import Optimizer

# A step takes each singular value x to a x + b x^3 + c x^5. These three are, one after the other, the polynomials that
# leave the least error of what may lie in 0.01 to 1 (Amsel et al. 2025): all of it comes to 0.71 to 1.28. Jordan's one
# polynomial needs five steps for that. But for the last they are of x / 1.01, as there: just above 1, where rounding to
# bf16 may take a value, they would blow it up.
STEPS = ((8.0133, -22.9257, 16.5995), (3.6006, -2.6419, 0.5105), (2.6613, -1.9772, 0.4526))
MOMENTUM = 0.95
ADAMS_LENGTH = 0.2  # root of the mean square of a weight's update, over the learning rate
LEAST = 1e-7


class Muon(Optimizer):
    """The optimiser.

    Args:
        weights: each ``[O, I]`` or ``[M, O, I]``.
        half: whether to orthogonalise in bf16.
    """

    def __init__(self, weights: Iterable[Tensor], *, weight_decay: float, half: bool) -> None:
        super().__init__(weights, weight_decay=weight_decay)
        self._dtype = torch.bfloat16 if half else torch.float32

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for weight, gradient, state in zip(self.weights, self._gradients(), self.state, strict=True):
            if not state:
                state["momentum_buffer"] = torch.zeros_like(weight)
            mean = state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
            update = orthogonalised(gradient.lerp(mean, MOMENTUM).to(self._dtype))
            weight.mul_(1 - learning_rate * self._weight_decay)
            weight.add_(update, alpha=-learning_rate * ADAMS_LENGTH * math.sqrt(max(weight.shape[-2:])))


def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest orthogonal matrix, nearly: singular values of 0.71 to 1.28. Takes and returns ``[.., O, I]``.

    To begin with they are made 1 at most by the fourth root of the sum of their fourth powers, which is nearer to the
    largest one than the root of the sum of squares, and at hand. What is less than 0.01 then is made up to 77 times as
    large.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonalised(matrix.mT).mT
    product = torch.addmm if matrix.dim() == 2 else torch.baddbmm
    matrix = matrix / torch.linalg.matrix_norm(matrix, keepdim=True).clamp(min=LEAST)
    for number, (own, cube, fifth) in enumerate(STEPS):
        gram = matrix @ matrix.mT
        if number == 0:
            squares = torch.linalg.matrix_norm(gram, keepdim=True).clamp(min=LEAST)
            matrix, gram = matrix / squares.sqrt(), gram / squares
        matrix = product(matrix, product(gram, gram, gram, beta=cube, alpha=fifth), matrix, beta=own)
    return matrix
