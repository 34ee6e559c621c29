"""Muon is torch's but for its iteration, in either precision, for one network and for several."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.nets.group import DNNGroup
from asr_kd.train import muon
from asr_kd.train.muon import Muon, orthogonalised
from asr_kd.train.schedule import OptimizerOptions, make_optimizers

SHAPES = ((40, 24), (24, 24), (24, 40))
TORCHS_STEPS = ((3.4445, -4.7750, 2.0315),) * 5


def weights_and_gradients(seed: int, *shape: int) -> tuple[Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    return weight, [torch.randn(shape, generator=generator) for _ in range(4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("half", [True, False])
def test_but_for_the_orthogonal_matrix_it_is_torchs(
    shape: tuple[int, int], half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtype = torch.bfloat16 if half else torch.float32
    monkeypatch.setattr(
        torch.optim._muon, "_zeropower_via_newtonschulz", lambda update, *_: orthogonalised(update.to(dtype))
    )
    start, gradients = weights_and_gradients(1, *shape)
    own, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizer = Muon([own], weight_decay=0.1, half=half)
    reference = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        own.grad, theirs.grad = gradient.clone(), gradient.clone()
        optimizer.step(0.01)
        reference.step()
    torch.testing.assert_close(own.detach(), theirs.detach(), rtol=1e-4, atol=1e-5)
    assert float((start - theirs.detach()).norm()) > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_matrices_of_several_networks_are_each_for_itself(shape: tuple[int, int]) -> None:
    start, gradients = weights_and_gradients(2, 3, *shape)
    together = torch.nn.Parameter(start.clone())
    alone = [torch.nn.Parameter(one.clone()) for one in start]
    optimizers = [Muon(weights, weight_decay=0.0, half=False) for weights in ([together], alone)]
    for gradient in gradients:
        together.grad = gradient
        for one, its in zip(alone, gradient, strict=True):
            one.grad = its
        for optimizer in optimizers:
            optimizer.step(0.01)
    torch.testing.assert_close(together.detach(), torch.stack([one.detach() for one in alone]), rtol=1e-5, atol=1e-6)


@given(
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 99),
    least=st.floats(0.01, 1.0),
    norm=st.sampled_from((1e-6, 1.0, 1e6)),
)
def test_all_directions_get_one_length_and_keep_their_signs(
    shape: tuple[int, int], seed: int, least: float, norm: float
) -> None:
    u, _, vh = torch.linalg.svd(weights_and_gradients(seed, *shape)[0], full_matrices=False)
    sizes = torch.logspace(0.0, math.log10(least), 24)
    sizes *= 1 / sizes.pow(4).sum().pow(0.25)
    sizes = sizes[sizes > 0.0101]
    found = orthogonalised(norm * u[:, : len(sizes)] @ torch.diag(sizes) @ vh[: len(sizes)])
    lengths = (u.T @ found @ vh.T).diagonal()[: len(sizes)]
    assert 0.71 < float(lengths.min()) <= float(lengths.max()) < 1.28
    expected = u[:, : len(sizes)] @ torch.diag(lengths) @ vh[: len(sizes)]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 1e-2, 3e-2])
def test_one_direction_that_outweighs_all_others_is_no_longer_than_they(noise: float) -> None:
    """Rounding to bf16 may take its singular value above 1."""
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        column, row, rest = (torch.randn(shape, generator=generator) for shape in ((96, 1), (1, 160), (96, 160)))
        one = column @ row / (column.norm() * row.norm())
        matrix = one + noise * rest / torch.linalg.matrix_norm(rest, 2)
        found = torch.linalg.svdvals(orthogonalised(matrix.bfloat16()).float())
        assert float(found.max()) < 1.35


def test_its_three_steps_err_no_more_than_five_of_torchs() -> None:
    sizes = torch.logspace(-2, 0, 200, dtype=torch.float64)
    errors = []
    for steps in (muon.STEPS, TORCHS_STEPS):
        reached = sizes
        for own, cube, fifth in steps:
            reached = own * reached + cube * reached**3 + fifth * reached**5
        errors.append(float((reached - 1).abs().max()))
    assert errors[0] < errors[1]


def test_of_a_group_all_but_the_outputs_are_moved_by_it() -> None:
    nets = [DNN(6, 3, NetOptions(num_layers=2, hidden_dim=5), seed=seed) for seed in (1, 2)]
    for net in (nets[0], DNNGroup(nets)):
        adam, own = make_optimizers(net, OptimizerOptions(optimizer="muon"))
        assert [tuple(weight.shape[-2:]) for weight in own.weights] == [(5, 6), (5, 5)]
        assert (3, 5) in {tuple(weight.shape[-2:]) for weight in adam.weights}


def test_muon_moves_hidden_matrices_in_all_directions_alike_and_the_rest_as_adam_does() -> None:
    net = DNN(40, 7, NetOptions(num_layers=2, hidden_dim=24), seed=1)
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    for optimizer in make_optimizers(net, OptimizerOptions(optimizer="muon")):
        optimizer.step(0.01)
    for name, value in net.named_parameters():
        step, gradient = before[name] - value.detach(), value.grad
        assert gradient is not None
        if value.ndim == 2 and value.shape != (7, 24):
            # Newton and Schulz's iteration stops at singular values near 1, in Adam's usual length of 0.2 a weight. The
            # least direction of a square matrix may be under a hundredth of it, which is out of its reach.
            lengths = torch.linalg.svdvals(step) / (0.01 * 0.2 * max(value.shape) ** 0.5)
            assert float(lengths[-2]) > 0.6
            assert float(lengths[-1]) > 0.3
            assert float(lengths.max()) < 1.28
            assert float((step * gradient).sum()) > 0
        else:
            torch.testing.assert_close(step, 0.01 * gradient.sign(), rtol=1e-3, atol=1e-5)
