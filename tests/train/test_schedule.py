"""The learning rate: half a cosine, or halved where the dev set no longer gains."""

import itertools
import math

import pytest
import torch

from asr_kd.errors import UsageError
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.nets.group import DNNGroup
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
    (made,) = make_optimizers(net, OptimizerOptions(optimizer=optimizer, learning_rate=0.1, weight_decay=0.0))
    net.weight.grad = torch.tensor([[2.0]])
    made.step()
    # Adam's first step is the learning rate, that of SGD with Nesterov momentum (1 + momentum) times the gradient.
    expected = -0.1 if optimizer == "adam" else -0.1 * 2 * 1.9
    assert float(net.weight.detach() - before) == pytest.approx(expected, abs=1e-5)


def test_muon_moves_hidden_matrices_in_all_directions_alike_and_the_rest_as_adam_does() -> None:
    net = DNN(40, 7, NetOptions(num_layers=2, hidden_dim=24), seed=1)
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    for optimizer in make_optimizers(net, OptimizerOptions(optimizer="muon", learning_rate=0.01)):
        optimizer.step()
    for name, value in net.named_parameters():
        step, gradient = before[name] - value.detach(), value.grad
        assert gradient is not None
        if value.ndim == 2 and value.shape != (7, 24):
            # Newton and Schulz's iteration stops at singular values near 1, in Adam's usual length of 0.2 a weight.
            lengths = torch.linalg.svdvals(step) / (0.01 * 0.2 * max(value.shape) ** 0.5)
            assert float(lengths.min()) > 0.6
            assert float(lengths.max()) < 1.3
            assert float((step * gradient).sum()) > 0
        else:
            torch.testing.assert_close(step, 0.01 * gradient.sign(), rtol=1e-3, atol=1e-5)


def test_muon_moves_each_network_of_a_group_as_if_it_were_alone() -> None:
    options = OptimizerOptions(optimizer="muon", learning_rate=0.01)
    nets = [DNN(6, 3, NetOptions(num_layers=2, hidden_dim=5), seed=seed) for seed in (1, 2)]
    group = DNNGroup(nets)
    of_group, of_nets = make_optimizers(group, options), [make_optimizers(net, options) for net in nets]
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        for parameter in group.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        for member, net in enumerate(nets):
            linears = [layer for layer in net.layers if isinstance(layer, torch.nn.Linear)]
            for linear, weight_MOI, bias_MO in zip(linears, group.weights_MOI, group.biases_MO, strict=True):
                assert weight_MOI.grad is not None
                assert bias_MO.grad is not None
                linear.weight.grad, linear.bias.grad = weight_MOI.grad[member], bias_MO.grad[member]
        for optimizer in [*of_group, *itertools.chain.from_iterable(of_nets)]:
            optimizer.step()
    found = DNN(6, 3, NetOptions(num_layers=2, hidden_dim=5), seed=3)
    for member, net in enumerate(nets):
        group.copy_to(found, member)
        for name, value in net.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("wrong", [{"learning_rate": 0.0}, {"learning_rate": -1.0}])
def test_impossible_options_are_wrong_usage(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--learning-rate"):
        OptimizerOptions(**wrong)  # type: ignore[arg-type]


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
