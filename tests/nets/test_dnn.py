"""The network's shape and first weights, and dropout that a step's seed decides."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr_kd.errors import UsageError
from asr_kd.nets.dnn import DNN, NetOptions, num_parameters
from asr_kd.nets.dropout import DRAWS, Dropout

CPU = torch.device("cpu")


def net(seed: int = 1, **options: float) -> DNN:
    return DNN(30, 7, NetOptions(num_layers=3, hidden_dim=16, **options), seed=seed)  # type: ignore[arg-type]


def dropped(probability: float, x_BH: torch.Tensor, seed: int) -> torch.Tensor:
    layer = Dropout(probability)
    layer.generator = torch.Generator().manual_seed(seed)
    result: torch.Tensor = layer(x_BH)
    return result


def test_layers_and_weights_are_as_asked() -> None:
    one = net()
    assert one(torch.zeros(4, 30)).shape == (4, 7)
    assert num_parameters(one) == (30 * 16 + 16) + 2 * (16 * 16 + 16) + (16 * 7 + 7)
    assert num_parameters(net(dropout=0.5)) == num_parameters(one)


def test_first_weights_depend_on_the_seed_alone() -> None:
    first = net(seed=1).state_dict()
    torch.rand(10)
    again, other = net(seed=1).state_dict(), net(seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_first_weights_keep_the_size_of_activations() -> None:
    deep = DNN(400, 10, NetOptions(num_layers=8, hidden_dim=400), seed=3)
    with torch.no_grad():
        hidden = deep.layers[:-1](torch.randn(256, 400, generator=torch.Generator().manual_seed(0)))
    assert 0.5 < float(hidden.square().mean()) < 2


@pytest.mark.parametrize("probability", [0.1, 0.25, 0.5, 0.9])
def test_dropout_leaves_out_the_given_part_and_keeps_the_mean(probability: float) -> None:
    count = 200_003
    kept = dropped(probability, torch.ones(1, count), seed=5)
    rounded = round(probability * DRAWS) / DRAWS
    part = float((kept == 0).double().mean())
    assert abs(part - rounded) < 5 * np.sqrt(rounded * (1 - rounded) / count)
    np.testing.assert_allclose(kept[kept > 0], 1 / (1 - rounded), rtol=1e-6)
    assert abs(float(kept.double().mean()) - 1) < 0.05


def test_dropout_keeps_the_mean_in_bf16_too() -> None:
    x_BH = torch.randn(200, 1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    kept_BH = dropped(0.1, x_BH, seed=5)
    assert kept_BH.dtype == torch.bfloat16
    there = kept_BH != 0
    ratio = float((kept_BH[there].double() / x_BH[there].double()).mean())
    # The scale itself, 1 / 0.9, is 0.16 % less in bf16.
    assert ratio == pytest.approx(1 / 0.9, rel=2e-4)


@example(probability=0.999, rows=2, units=300)
@given(probability=st.floats(0, 1, exclude_max=True), rows=st.integers(1, 5), units=st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_dropout_of_any_probability_and_shape_is_finite(probability: float, rows: int, units: int) -> None:
    kept = dropped(probability, torch.ones(rows, units), seed=1)
    assert kept.shape == (rows, units)
    assert torch.isfinite(kept).all()


def test_neighbouring_units_are_left_out_independently() -> None:
    kept = dropped(0.5, torch.ones(1000, 64), seed=9) > 0
    both = (kept[:, 1:] & kept[:, :-1]).double().mean()
    assert abs(float(both) - 0.25) < 0.01


def test_the_seed_decides_what_is_left_out_and_no_global_state_does() -> None:
    x_BH = torch.ones(3, 50)
    torch.manual_seed(1)
    first = dropped(0.5, x_BH, seed=7)
    torch.manual_seed(2)
    assert torch.equal(first, dropped(0.5, x_BH, seed=7))
    assert not torch.equal(first, dropped(0.5, x_BH, seed=8))


def test_a_seeded_step_can_be_made_again_and_its_layers_differ() -> None:
    one = net(dropout=0.5).train()
    x_BW = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    one.seed_dropout(3, CPU)
    first = one(x_BW)
    second = one(x_BW)
    one.seed_dropout(3, CPU)
    assert torch.equal(first, one(x_BW))
    assert not torch.equal(first, second)
    masks = [layer(torch.ones(8, 16)) for layer in one.layers if isinstance(layer, Dropout)]
    assert not torch.equal(masks[0], masks[1])


def test_nothing_is_left_out_in_evaluation() -> None:
    with_dropout, without = net(dropout=0.5).eval(), net()
    x_BW = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(with_dropout(x_BW), without(x_BW))


@pytest.mark.parametrize("wrong", [{"num_layers": 0}, {"hidden_dim": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_impossible_options_are_wrong_usage(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--"):
        NetOptions(**wrong)  # type: ignore[arg-type]
