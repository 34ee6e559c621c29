"""The layers as one function equal the layers one by one under torch's own autograd."""

import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr_kd.nets.device import autocast
from asr_kd.nets.dnn import DNN, NetOptions

CPU = torch.device("cpu")


def made(num_layers: int, dropout: float, input_dropout: float = 0.0) -> DNN:
    options = NetOptions(num_layers=num_layers, hidden_dim=24, dropout=dropout, input_dropout=input_dropout)
    return DNN(10, 7, options, seed=3).train()


def normal(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def gradients(net: DNN, logits_BP: Tensor, x_BW: Tensor) -> list[Tensor]:
    """Of inputs and weights, for some loss."""
    wanted = [x_BW] if x_BW.requires_grad else []
    return list(torch.autograd.grad(logits_BP.float().square().sum(), [*wanted, *net.parameters()]))


@given(
    num_layers=st.integers(1, 4),
    dropout=st.sampled_from([0.0, 0.1, 0.5, 0.99]),
    input_dropout=st.sampled_from([0, 0.3]),
)
@settings(max_examples=30, deadline=None)
def test_logits_and_gradients_equal_those_of_the_layers_one_by_one(
    num_layers: int, dropout: float, input_dropout: float
) -> None:
    net = made(num_layers, dropout, input_dropout).double()
    x_BW = normal(9, 10).requires_grad_()
    net.seed_dropout(5, CPU)
    found = net(x_BW)
    net.seed_dropout(5, CPU)
    expected = net.layers(x_BW)
    torch.testing.assert_close(found, expected)
    for own, other in zip(gradients(net, found, x_BW), gradients(net, expected, x_BW), strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_in_bf16_it_errs_no_more_than_the_layers_one_by_one(dropout: float) -> None:
    net = made(3, dropout)
    x_BW = normal(64, 10, dtype=torch.float32)
    errors: list[list[float]] = [[], []]
    # A mask now and then makes either of them err several times as much: a unit is just above 0 here, below it there.
    for seed in range(24):
        net.double().seed_dropout(seed, CPU)
        exact = gradients(net, net.layers(x_BW.double()), x_BW)
        net.float()
        for forward, own_errors in zip((net, net.layers), errors, strict=True):
            net.seed_dropout(seed, CPU)
            with autocast(CPU, "bf16"):
                logits_BP = forward(x_BW)
            assert logits_BP.dtype == torch.bfloat16
            found = gradients(net, logits_BP, x_BW)
            assert all(value.dtype == torch.float32 for value in found)
            pairs = zip(found, exact, strict=True)
            own_errors.append(max(float((own.double() - other).norm() / other.norm()) for own, other in pairs))
    assert statistics.median(errors[0]) < 1.5 * statistics.median(errors[1]) < 0.1


def test_a_unit_that_is_left_out_learns_nothing_from_the_step() -> None:
    net = made(1, 0.5)
    net.seed_dropout(1, CPU)
    x_BW = normal(1, 10, dtype=torch.float32)
    weight_HW = gradients(net, net(x_BW), x_BW)[0]
    net.seed_dropout(1, CPU)
    hidden_BH = net.layers[:-1](x_BW)
    assert torch.equal(weight_HW.abs().sum(dim=1) > 0, hidden_BH[0] > 0)
