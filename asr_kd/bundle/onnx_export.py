"""A network as ONNX, in fp32 or int8, and the check that it computes what torch does.

Legend: B frames of a batch, W width of a window, P pdfs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from torch import nn

from asr_kd.bundle.network import Network
from asr_kd.bundle.onnx_names import INPUT, LOG_LIKELIHOODS, LOG_POSTERIORS, PRECISION
from asr_kd.errors import MismatchError
from asr_kd.nets.acoustic_model import AcousticModel

# Old enough for onnxruntime 1.14 and later.
OPSET, IR_VERSION = 17, 8
LARGEST_DIFFERENCE = 1e-4


def to_onnx(model: AcousticModel) -> onnx.ModelProto:
    """A model with input ``windows [B, W]`` and outputs ``log_posteriors`` and ``log_likelihoods [B, P]``.

    Log likelihoods are scaled: log posterior less log prior.
    """
    nodes, weights = [], []
    value = INPUT
    linears = 0
    for layer in model.net.eval().layers:
        if isinstance(layer, nn.Linear):
            linears += 1
            weight, bias, product, total = (f"{name}{linears}" for name in ("weight", "bias", "product", "total"))
            weights.append(numpy_helper.from_array(layer.weight.detach().numpy().T.copy(), weight))
            weights.append(numpy_helper.from_array(layer.bias.detach().numpy(), bias))
            nodes.append(helper.make_node("MatMul", [value, weight], [product]))
            nodes.append(helper.make_node("Add", [product, bias], [total]))
            value = total
        elif isinstance(layer, nn.ReLU):
            nodes.append(helper.make_node("Relu", [value], [f"hidden{linears}"]))
            value = f"hidden{linears}"
    weights.append(numpy_helper.from_array(model.log_prior.detach().numpy(), "log_prior"))
    nodes.append(helper.make_node("LogSoftmax", [value], [LOG_POSTERIORS], axis=1))
    nodes.append(helper.make_node("Sub", [LOG_POSTERIORS, "log_prior"], [LOG_LIKELIHOODS]))
    shapes = {INPUT: model.card.input_dim, LOG_POSTERIORS: model.card.num_pdfs, LOG_LIKELIHOODS: model.card.num_pdfs}
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["frames", dim]) for name, dim in shapes.items()]
    graph = helper.make_graph(nodes, "acoustic_model", ports[:1], ports[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="asr_kd")
    made.ir_version = IR_VERSION
    helper.set_model_props(made, {PRECISION: "fp32"})
    onnx.checker.check_model(made)
    return made


def write_int8(fp32: Path, path: Path, windows: Sequence[np.ndarray]) -> None:
    """Write a model with weights and activations of 8 bits.

    Activations are quantised with ranges found beforehand: with ranges of each batch a frame's result would depend on
    the frames beside it, and a stream could say other words than a file. Weights get 7 bits, each output its own
    scale: with 8 the products overflow on processors without VNNI (onnxruntime's ``reduce_range``).

    Args:
        fp32: file of `to_onnx`.
        windows: batches ``[B, W]`` of real speech, from which the ranges are found.
    """
    prepared = onnx.load(fp32)
    add_pre_process_metadata(prepared)  # there is nothing to fuse or to fold beforehand, of which it would warn
    quantize_static(
        prepared,
        path,
        _Batches(windows),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        op_types_to_quantize=["MatMul"],
    )
    made = onnx.load(path)
    helper.set_model_props(made, {PRECISION: "int8"})
    onnx.save(made, path)


def largest_difference(one: Network, other: Network, batches: Sequence[np.ndarray]) -> float:
    """The largest difference of two networks' log likelihoods over batches of windows ``[B, W]``."""
    return max(float(np.abs(one.log_likelihoods(x) - other.log_likelihoods(x)).max()) for x in batches)


def check_same(difference: float, what: str) -> None:
    """Check that an exported network computes what torch does.

    Raises:
        MismatchError: it does not.
    """
    if not difference <= LARGEST_DIFFERENCE:
        raise MismatchError(
            f"onnxruntime's log likelihoods differ from torch's by {difference:.2g} on {what}, more than "
            f"{LARGEST_DIFFERENCE:g}: do not ship it; try another version of onnxruntime"
        )


class _Batches(CalibrationDataReader):
    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input, or None."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}
