"""A store of weight 2 counts as one that is there twice."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr_kd.distill.hinton import DistillObjective, DistillWeights, StoredLogits, StoredTeacher
from asr_kd.distill.transfer import WeightedStores
from asr_kd.errors import UsageError
from asr_kd.train.frame_set import Batch
from asr_kd.train.objective import Objective

PDFS = 5
CPU = torch.device("cpu")


class Reader:
    """Soft targets of given distributions, whose classes are all kept."""

    temperature = 2.0

    def __init__(self, probs_NP: Tensor, *, dense: bool) -> None:
        self.probs_NP, self.dense = probs_NP, dense

    def dense_batch(self, frames_B: Tensor) -> Tensor:
        return self.probs_NP[frames_B]

    def logits_batch(self, frames_B: Tensor) -> Tensor:
        return self.probs_NP[frames_B].log()

    def sparse_batch(self, frames_B: Tensor) -> tuple[Tensor, Tensor]:
        ids_BP = torch.arange(PDFS, device=frames_B.device).expand(len(frames_B), PDFS)
        return ids_BP, self.probs_NP[frames_B]


TEACHERS: dict[str, Callable[[Tensor], object]] = {
    "dense": lambda probs_NP: StoredTeacher(Reader(probs_NP, dense=True)),  # type: ignore[arg-type]
    "sparse": lambda probs_NP: StoredTeacher(Reader(probs_NP, dense=False)),  # type: ignore[arg-type]
    "logits": lambda probs_NP: StoredLogits(Reader(probs_NP, dense=True)),  # type: ignore[arg-type]
}


def soft_and_hard(teacher: str, probs_NP: Tensor, labels_N: Tensor) -> Objective:
    weights = DistillWeights(soft_weight=0.7, hard_weight=0.3)
    return DistillObjective(TEACHERS[teacher](probs_NP), labels_N, weights)  # type: ignore[arg-type]


def values_and_gradients(
    objective: Objective, weights_DP: Tensor, inputs_BD: Tensor, frames_B: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """Of each term."""
    weights_DP = weights_DP.clone().requires_grad_()
    losses = objective.losses(inputs_BD @ weights_DP, Batch(frames_B, inputs_BD))
    return {name: (loss, torch.autograd.grad(loss, weights_DP, retain_graph=True)[0]) for name, loss in losses.items()}


@pytest.mark.parametrize("teacher", TEACHERS)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3), data=st.data())
@settings(max_examples=50)
def test_a_weight_is_so_many_copies_of_a_store(teacher: str, sizes: list[int], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)).filter(any))
    unit = data.draw(st.sampled_from([1.0, 0.01]))
    generator = torch.Generator().manual_seed(sum(sizes))
    count = sum(sizes)
    inputs_ND = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    probs_NP = torch.randn(count, PDFS, generator=generator, dtype=torch.float64).softmax(1)
    labels_N = torch.randint(-1, PDFS, (count,), generator=generator)
    start_DP = torch.randn(4, PDFS, generator=generator, dtype=torch.float64)
    plain = soft_and_hard(teacher, probs_NP, labels_N)
    shuffled_N = torch.randperm(count, generator=generator)
    weighted = WeightedStores(plain, sizes, [weight * unit for weight in weights], device=CPU)
    found = values_and_gradients(weighted, start_DP, inputs_ND[shuffled_N], shuffled_N)
    stores = torch.arange(count).split(sizes)
    copies_B = torch.cat([store.repeat(weight) for store, weight in zip(stores, weights, strict=True)])
    expected = values_and_gradients(plain, start_DP, inputs_ND[copies_B], copies_B)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("teacher", TEACHERS)
def test_a_batch_of_frames_that_do_not_count_moves_nothing(teacher: str) -> None:
    plain = soft_and_hard(teacher, torch.full((4, PDFS), 1 / PDFS), torch.tensor([0, 1, 2, 3]))
    weighted = WeightedStores(plain, [2, 2], [0, 1], device=CPU)
    found = values_and_gradients(weighted, torch.randn(3, PDFS), torch.randn(2, 3), torch.tensor([0, 1]))
    for loss, gradient_DP in found.values():
        assert loss.item() == 0
        assert torch.equal(gradient_DP, torch.zeros(3, PDFS))


@pytest.mark.parametrize("teacher", TEACHERS)
def test_a_step_asks_the_device_for_no_value(teacher: str) -> None:
    gpu = torch.device("meta")  # stands for one: what lies there has no values to wait for
    plain = soft_and_hard(teacher, torch.ones(4, PDFS, device=gpu), torch.zeros(4, dtype=torch.int32, device=gpu))
    weighted = WeightedStores(plain, [2, 2], [1, 2], device=gpu)
    found = values_and_gradients(
        weighted, torch.ones(3, PDFS, device=gpu), torch.ones(4, 3, device=gpu), torch.arange(4, device=gpu)
    )
    assert {gradient_DP.device for _, gradient_DP in found.values()} == {gpu}


@pytest.mark.parametrize("wrong", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.nan], [1.0, math.inf]])
def test_weights_that_are_none_are_wrong_usage(wrong: list[float]) -> None:
    with pytest.raises(UsageError, match="--transfer-weights"):
        WeightedStores(soft_and_hard("dense", torch.ones(2, 2), torch.zeros(2)), [1, 1], wrong, device=CPU)
