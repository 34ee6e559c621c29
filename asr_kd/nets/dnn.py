"""The paper's network: stacked frames through ReLU layers to one logit for each HMM state.

Legend: B frames of a batch, W width of a window, H hidden units, P pdfs.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr_kd.errors import UsageError
from asr_kd.nets.dropout import Dropout
from asr_kd.nets.stack import Layer, stack_logits
from asr_kd.options import option


@dataclass(frozen=True, kw_only=True)
class NetOptions:
    """The paper's are 8 layers of 2560 units (Hinton, Vinyals & Dean 2015, section 4)."""

    num_layers: int = option("hidden layers", default=4)
    hidden_dim: int = option("units of a hidden layer", default=512)
    dropout: float = option("probability that a hidden unit is left out of a training step", default=0.0)
    input_dropout: float = option("probability that an input is left out of a training step", default=0.0)

    def __post_init__(self) -> None:
        if self.num_layers < 1 or self.hidden_dim < 1:
            raise UsageError("--num-layers and --hidden-dim must be at least 1")
        for flag, probability in (("--dropout", self.dropout), ("--input-dropout", self.input_dropout)):
            if not 0 <= probability < 1:
                raise UsageError(f"{flag} must lie in [0, 1), got {probability}")


class DNN(nn.Module):
    """Fully connected ReLU layers and a linear output: logits ``[B, P]`` of windows ``[B, W]``."""

    def __init__(self, input_dim: int, num_pdfs: int, options: NetOptions, *, seed: int) -> None:
        super().__init__()
        dims = [input_dim] + [options.hidden_dim] * options.num_layers
        layers: list[nn.Module] = [Dropout(options.input_dropout)] if options.input_dropout > 0 else []
        for fan_in, fan_out in itertools.pairwise(dims):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU(inplace=True)]
            if options.dropout > 0:
                layers.append(Dropout(options.dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(dims[-1], num_pdfs))
        self.initialize(torch.Generator().manual_seed(seed))

    def initialize(self, generator: torch.Generator) -> None:
        """He initialisation (He et al. 2015) of the hidden layers, zero biases, a small output layer."""
        linears = [m for m in self.layers if isinstance(m, nn.Linear)]
        with torch.no_grad():
            for linear in linears:
                gain = math.sqrt(2.0) if linear is not linears[-1] else 1.0
                linear.weight.normal_(0.0, gain / math.sqrt(linear.in_features), generator=generator)
                linear.bias.zero_()

    def forward(self, x_BW: Tensor) -> Tensor:
        """Logits ``[B, P]``."""
        if self.training and x_BW.device.type == "cpu":
            return self._training_logits(x_BW)
        logits: Tensor = self.layers(x_BW)
        return logits

    def _training_logits(self, x_BW: Tensor) -> Tensor:
        stacked: list[Layer] = []
        for module in self.layers:
            if isinstance(module, nn.Linear):
                stacked.append(Layer(module))
            elif isinstance(module, Dropout) and stacked:
                stacked[-1] = Layer(stacked[-1].linear, module)
            elif isinstance(module, Dropout):
                x_BW = module(x_BW)
        return stack_logits(x_BW, stacked)

    def seed_dropout(self, seed: int, device: torch.device) -> None:
        """Make the next step's dropout a function of ``seed`` alone."""
        for module in self.layers:
            if isinstance(module, Dropout):
                module.seed(seed, device)
                seed += 1


def num_parameters(net: nn.Module) -> int:
    """Trainable weights of a network."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
