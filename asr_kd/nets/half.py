"""A network's weights in bf16, cast once: autocast would cast all of them again for every utterance that is scored.

Legend: B frames of a batch, W width of a window, I inputs of a layer, O its outputs, H hidden units, P pdfs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr_kd.nets.dnn import DNN


class HalfDNN:
    """A `DNN` in evaluation as under autocast.

    Args:
        net: its weights are copied as they are now.
        keep_sums: whether logits are as exact as sums in fp32: rounded to bf16, those above 16 are 0.125 apart. On a
            GPU alone: on the CPU torch has no product of bf16 matrices that keeps its sums.
    """

    def __init__(self, net: DNN, *, keep_sums: bool) -> None:
        self._keep_sums = keep_sums
        *hidden, output = (layer for layer in net.layers if isinstance(layer, nn.Linear))
        self._hidden = [(layer.weight.detach().bfloat16(), layer.bias.detach().bfloat16()) for layer in hidden]
        bias_P = output.bias.detach()
        self._weight_PH = output.weight.detach().bfloat16()
        self._bias_P = bias_P.clone() if keep_sums else bias_P.bfloat16()

    def logits(self, x_BW: Tensor) -> Tensor:
        """Logits ``[B, P]`` float32."""
        x_BI = x_BW.bfloat16()
        for weight_OI, bias_O in self._hidden:
            x_BI = functional.linear(x_BI, weight_OI, bias_O).relu_()
        if not self._keep_sums:
            return functional.linear(x_BI, self._weight_PH, self._bias_P).float()
        return torch.mm(x_BI, self._weight_PH.t(), out_dtype=torch.float32).add_(self._bias_P)
