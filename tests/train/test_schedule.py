"""The learning rate: half a cosine, or halved where the dev set no longer gains."""

import math

import pytest
import torch

from asr_kd.errors import UsageError
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.train.schedule import NewBob, OptimizerOptions, cosine_factor, limit_norms, make_optimizers


def test_the_cosine_falls_from_one_to_the_final_part() -> None:
    assert cosine_factor(0.0, 0.01) == 1.0
    assert cosine_factor(0.5, 0.01) == pytest.approx((1 + 0.01) / 2)
    assert cosine_factor(1.0, 0.01) == pytest.approx(0.01)
    assert cosine_factor(1.7, 0.01) == pytest.approx(0.01)
    factors = [cosine_factor(step / 50, 0.2) for step in range(51)]
    assert factors == sorted(factors, reverse=True)


@pytest.mark.parametrize(
    ("entropies", "improved", "factor", "halvings"),
    [
        ([2.0, 1.9, 1.5], [True, True, True], 1.0, 0),
        ([2.0, 1.99], [True, True], 0.5, 1),
        ([2.0, 2.5], [True, False], 0.5, 1),
        ([2.0, 2.5, 1.99, 1.5], [True, False, True, True], 0.25, 2),
        ([2.0, 2.0, 2.0], [True, False, False], 0.25, 2),
    ],
)
def test_newbob_halves_after_an_epoch_without_enough_gain(
    entropies: list[float], improved: list[bool], factor: float, halvings: int
) -> None:
    options = OptimizerOptions(newbob_threshold=0.01)
    newbob = NewBob()
    assert [newbob.update(entropy, options) for entropy in entropies] == improved
    assert (newbob.factor, newbob.halvings, newbob.best) == (factor, halvings, min(entropies))


def test_newbob_starts_with_the_first_epoch_as_its_best() -> None:
    assert NewBob().best == math.inf
    assert NewBob().update(5.0, OptimizerOptions())


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_optimiser_is_the_one_asked_for(optimizer: str) -> None:
    net = torch.nn.Linear(1, 1, bias=False)
    before = net.weight.detach().clone()
    (made,) = make_optimizers(net, OptimizerOptions(optimizer=optimizer, weight_decay=0.0))
    net.weight.grad = torch.tensor([[2.0]])
    made.step(0.1)
    # Adam's first step is the learning rate, that of SGD with Nesterov momentum (1 + momentum) times the gradient.
    expected = -0.1 if optimizer == "adam" else -0.1 * 2 * 1.9
    assert float(net.weight.detach() - before) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
def test_without_a_gradient_weights_decay_by_learning_rate_times_weight_decay(optimizer: str) -> None:
    net = DNN(4, 3, NetOptions(num_layers=2, hidden_dim=5), seed=1)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    asked = OptimizerOptions(optimizer=optimizer, momentum=0.0, weight_decay=0.2)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for made in make_optimizers(net, asked):
        made.step(0.1)
    for parameter, old in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old * (1 - 0.1 * 0.2))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("learning_rate", value) for value in (0.0, -1.0, math.nan, math.inf)),
        *(("final_learning_rate", value) for value in (-0.1, math.nan, math.inf)),
        *(("momentum", value) for value in (-0.1, 1.0, math.nan)),
        *(("weight_decay", value) for value in (-0.1, math.nan, math.inf)),
        ("max_norm", 0.0),
        ("newbob_halvings", 0),
    ],
)
def test_impossible_options_are_wrong_usage(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} must be"):
        OptimizerOptions(**{name: value})  # type: ignore[arg-type]


def test_the_outermost_possible_options_are_taken() -> None:
    options = OptimizerOptions(final_learning_rate=0.0, momentum=0.0, weight_decay=0.0, newbob_halvings=1)
    assert options.newbob_halvings == 1


def test_no_unit_has_longer_weights_than_the_max_norm_and_shorter_ones_are_left_alone() -> None:
    net = torch.nn.Linear(6, 4)
    with torch.no_grad():
        net.weight *= torch.tensor([[0.1], [10.0], [0.2], [5.0]])
    before, bias = net.weight.detach().clone(), net.bias.detach().clone()
    limit_norms(net, 1.5)
    norms = net.weight.norm(dim=1)
    torch.testing.assert_close(norms[[1, 3]], torch.full((2,), 1.5))
    assert torch.equal(net.weight[[0, 2]], before[[0, 2]])
    torch.testing.assert_close(net.weight / norms[:, None], before / before.norm(dim=1, keepdim=True))
    assert torch.equal(net.bias, bias)
