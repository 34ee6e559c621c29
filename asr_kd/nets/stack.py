"""All layers of a network in training as one function of autograd, on the CPU.

Matrix units multiply bf16 so fast that most of a step by separate operations went to copies between precisions, masks
and the bookkeeping of autograd. Here a hidden layer is a product, a ReLU and a mask in place on its way forward, and
two products and one mask on its way back: a unit that passed nothing on, because it was negative or left out, gets no
gradient, so the activations are all that must be kept.

Legend: B frames of a batch, I inputs of a layer, O its outputs, P pdfs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from asr_kd.nets.dropout import Dropout


@dataclass(frozen=True)
class Layer:
    """A linear layer and the dropout behind its ReLU."""

    linear: nn.Linear
    dropout: Dropout | None = None


def stack_logits(x_BI: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Logits ``[B, P]`` of ReLU layers, the last of which is linear alone; in the dtype of products.

    Equals the layers one after the other: ``y = drop(relu(x W^T + b))``. The factors of dropout, which keep the mean,
    pass through ReLUs, as all positive factors do. So the activations go without them, and each layer's bias is divided
    by those that its inputs lack; the last layer's weights are multiplied by all of them.

    Args:
        layers: the dropout of each draws its mask once.
    """
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else layers[0].linear.weight.dtype
    parameters = [value for layer in layers for value in (layer.linear.weight, layer.linear.bias)]
    logits_BP: Tensor = _Stack.apply(x_BI.to(dtype), [layer.dropout for layer in layers], *parameters)
    return logits_BP


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BI: Tensor, dropouts: Sequence[Dropout | None], *parameters: Tensor) -> Tensor:
        inputs, weights, scales = [], [], []
        y_BO, lacking = x_BI, 1.0
        for number, dropout in enumerate(dropouts):
            weight_OI, bias_O = parameters[2 * number : 2 * number + 2]
            hidden = number < len(dropouts) - 1
            scales.append((1.0, 1 / lacking) if hidden else (lacking, 1.0))
            inputs.append(y_BO)
            weights.append(_scaled(weight_OI, scales[-1][0]).to(x_BI.dtype))
            y_BO = torch.addmm(_scaled(bias_O, scales[-1][1]).to(x_BI.dtype), inputs[-1], weights[-1].t())
            if hidden:
                y_BO.relu_()
            if dropout is not None:
                dropout.mask_(y_BO)
                lacking *= dropout.scale
        ctx.save_for_backward(*inputs, *weights)
        ctx.scales, ctx.master = scales, parameters[0].dtype
        return y_BO

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        depth = len(ctx.scales)
        inputs, weights = ctx.saved_tensors[:depth], ctx.saved_tensors[depth:]
        grad_BO = grads[0].to(inputs[0].dtype)
        found: list[Tensor | None] = []
        for number in reversed(range(depth)):
            x_BI, (of_weight, of_bias) = inputs[number], ctx.scales[number]
            found.append(_scaled(grad_BO.sum(dim=0).to(ctx.master), of_bias))
            found.append(_scaled(torch.mm(grad_BO.t(), x_BI).to(ctx.master), of_weight))
            if number > 0:
                grad_BO = torch.mm(grad_BO, weights[number])
                torch.ops.aten.threshold_backward.grad_input(grad_BO, x_BI, 0.0, grad_input=grad_BO)
        first_BI = torch.mm(grad_BO, weights[0]) if ctx.needs_input_grad[0] else None
        return first_BI, None, *reversed(found)


def _scaled(value: Tensor, scale: float) -> Tensor:
    return value if scale == 1.0 else value * scale
