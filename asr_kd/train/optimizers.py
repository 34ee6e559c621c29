"""Optimisers by torch's fused kernels.

Torch's own classes are not used: the first one that is made imports torch's compiler, which takes over a second.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

BETA1, BETA2 = 0.9, 0.999
EPSILON = 1e-8


class Optimizer(ABC):
    """Moves weights by their gradients; each kind says how in a `step` of its own.

    Attributes:
        weights: what is moved, in place.
        state: what is remembered of each, by name; nothing before the first step.
    """

    def __init__(self, weights: Iterable[Tensor], *, weight_decay: float) -> None:
        self.weights = list(weights)
        self.state: list[dict[str, Tensor]] = [{} for _ in self.weights]
        self._weight_decay = weight_decay

    @abstractmethod
    def step(self, learning_rate: float) -> None:
        """One update; every weight has its gradient."""

    def _gradients(self) -> list[Tensor]:
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        assert len(gradients) == len(self.weights)
        return gradients

    def _remembered(self, name: str) -> list[Tensor]:
        return [state[name] for state in self.state]


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for weight, state in zip(self.weights, self.state, strict=True):
            if not state:
                state["step"] = torch.zeros((), device=weight.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        adamw(
            self.weights,
            self._gradients(),
            self._remembered("exp_avg"),
            self._remembered("exp_avg_sq"),
            [],
            self._remembered("step"),
            fused=True,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=learning_rate,
            weight_decay=self._weight_decay,
            eps=EPSILON,
            maximize=False,
        )


class SGD(Optimizer):
    """Stochastic gradient descent with Nesterov's momentum."""

    def __init__(self, weights: Iterable[Tensor], *, momentum: float, weight_decay: float) -> None:
        super().__init__(weights, weight_decay=weight_decay)
        self._momentum = momentum

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        # In place of None torch puts a buffer, which the kernel fills with the first gradient.
        buffers: list[Tensor | None] = [state.get("momentum_buffer") for state in self.state]
        sgd(
            self.weights,
            self._gradients(),
            buffers,
            fused=True,
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=self._momentum > 0,
            maximize=False,
        )
        for state, buffer in zip(self.state, buffers, strict=True):
            if buffer is not None:
                state["momentum_buffer"] = buffer
