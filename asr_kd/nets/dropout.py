"""Dropout that draws from a generator of its own, so that a step can be made again exactly.

Legend: B frames of a batch, H hidden units.
"""

import numpy as np
import torch
from torch import Tensor, nn

DRAWS = 1 << 16  # 16 random bits decide for each unit


class Dropout(nn.Module):
    """Leaves out units of a training step with a probability, which is rounded to 1 / `DRAWS`, below 1.

    Four units share a draw of 64 bits: drawing a number for each would take a quarter of a training step. On the CPU
    numpy's SFC64 draws them, in half the time of torch's Mersenne Twister.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.dropped_draws = min(round(probability * DRAWS), DRAWS - 1)
        self.generator: torch.Generator | np.random.SFC64 | None = None

    @property
    def scale(self) -> float:
        """What the units that are kept are multiplied by, so that the mean stays."""
        return DRAWS / (DRAWS - self.dropped_draws)

    def seed(self, seed: int, device: torch.device) -> None:
        """Make the next draw a function of ``seed`` alone."""
        if device.type == "cpu":
            self.generator = np.random.SFC64(seed % 2**64)
            return
        if not isinstance(self.generator, torch.Generator):
            self.generator = torch.Generator(device=device)
        self.generator.manual_seed(seed)

    def forward(self, x_BH: Tensor) -> Tensor:
        """Zero each unit with the given probability and scale up the rest; nothing in evaluation."""
        if not self.training or self.dropped_draws == 0:
            return x_BH
        # The scale by itself: torch multiplies bf16 by a number in fp32, and a mask that held it would round it first.
        return x_BH * self._kept(x_BH) * self.scale

    def mask_(self, x_BH: Tensor) -> None:
        """Zero units in place, without the scaling."""
        if self.dropped_draws == 0:
            return
        kept_BH = self._kept(x_BH)
        if x_BH.element_size() == kept_BH.element_size():
            # Bits times 0 or 1: a product of integers of one width is all of a vector instruction.
            x_BH.view(torch.int16).mul_(kept_BH)
        else:
            x_BH.mul_(kept_BH)

    def _kept(self, x_BH: Tensor) -> Tensor:
        """1 for each unit that stays, 0 for the others, int16."""
        number = -(-x_BH.numel() // 4)
        if isinstance(self.generator, np.random.SFC64):
            draws = torch.from_numpy(self.generator.random_raw(number).view(np.int64))
        else:
            draws = torch.empty(number, dtype=torch.int64, device=x_BH.device)
            draws.random_(-(2**63), None, generator=self.generator)
        return draws.view(torch.int16)[: x_BH.numel()].view(x_BH.shape).ge_(self.dropped_draws - DRAWS // 2)
