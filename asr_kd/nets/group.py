"""Several networks of one shape as one, so that a step multiplies all their matrices at once.

A small network leaves most of a GPU idle: its products are short and its step is mostly waiting for the next one.

Legend: M members, B frames of a member's batch, W width of a window, I inputs of a layer, O its outputs, P pdfs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from asr_kd.nets.dnn import DNN
from asr_kd.nets.dropout import DRAWS, Dropout


class DNNGroup(nn.Module):
    """Networks of one shape, each on frames of its own.

    In training the losses are means over the frames of all members; each member's gradient is nevertheless that of the
    mean over its own.

    Args:
        nets: the members; their weights are copied.
    """

    def __init__(self, nets: Sequence[DNN]) -> None:
        super().__init__()
        self.num_members = len(nets)
        linears = [[layer for layer in net.layers if isinstance(layer, nn.Linear)] for net in nets]
        self.weights_MOI = nn.ParameterList(
            torch.stack([layer.weight.detach() for layer in same]) for same in zip(*linears, strict=True)
        )
        self.biases_MO = nn.ParameterList(
            torch.stack([layer.bias.detach() for layer in same]) for same in zip(*linears, strict=True)
        )
        # In the order of the layers, the input's first; it draws for all members together.
        self.dropouts = nn.ModuleDict()
        place = -1
        for module in nets[0].layers:
            if isinstance(module, nn.Linear):
                place += 1
            elif isinstance(module, Dropout):
                self.dropouts[str(place)] = Dropout(module.dropped_draws / DRAWS)

    def forward(self, x_NW: Tensor) -> Tensor:
        """Logits ``[M * B, P]`` of windows ``[M * B, W]``: the first B are the first member's."""
        x_MBI = self._dropped(x_NW.view(self.num_members, -1, x_NW.shape[1]), -1)
        last = len(self.weights_MOI) - 1
        for place, (weight_MOI, bias_MO) in enumerate(zip(self.weights_MOI, self.biases_MO, strict=True)):
            x_MBI = torch.baddbmm(bias_MO[:, None], x_MBI, weight_MOI.transpose(1, 2))
            if place < last:
                x_MBI = self._dropped(x_MBI.relu_(), place)
        logits_NP = x_MBI.flatten(0, 1)
        if logits_NP.requires_grad:
            logits_NP.register_hook(lambda gradient_NP: gradient_NP * self.num_members)
        return logits_NP

    def _dropped(self, x_MBI: Tensor, place: int) -> Tensor:
        """Behind a layer, or before the first one, what dropout leaves."""
        key = str(place)
        dropped: Tensor = self.dropouts[key](x_MBI) if key in self.dropouts else x_MBI
        return dropped

    def seed_dropout(self, seed: int, device: torch.device) -> None:
        """Make the next step's dropout a function of ``seed`` alone."""
        for number, module in enumerate(self.dropouts.values()):
            assert isinstance(module, Dropout)
            module.seed(seed + number, device)

    @torch.no_grad()
    def copy_to(self, net: DNN, member: int) -> None:
        """Give a member's weights to a network of its own."""
        linears = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
        for linear, weight_MOI, bias_MO in zip(linears, self.weights_MOI, self.biases_MO, strict=True):
            linear.weight.copy_(weight_MOI[member])
            linear.bias.copy_(bias_MO[member])
