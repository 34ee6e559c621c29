"""A store of weight 2 counts as one that is there twice."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from asr_kd.distill.transfer import WeightedStores
from asr_kd.errors import UsageError
from asr_kd.train.frame_set import Batch
from asr_kd.train.objective import HardTargets

PDFS = 5


@dataclass
class SoftAndHard:
    """Both terms as plain means, over given soft targets and labels."""

    probs_NP: Tensor
    labels_N: Tensor

    def losses(self, logits_BP: Tensor, batch: Batch) -> dict[str, Tensor]:
        soft = functional.cross_entropy(logits_BP, self.probs_NP[batch.frames_B])
        return {"soft": 0.7 * soft} | HardTargets(self.labels_N, 0.3).losses(logits_BP, batch)


def gradient(objective: object, weights_DP: Tensor, inputs_BD: Tensor, frames_B: Tensor) -> Tensor:
    weights_DP = weights_DP.clone().requires_grad_()
    losses = objective.losses(inputs_BD @ weights_DP, Batch(frames_B, inputs_BD))  # type: ignore[attr-defined]
    (found,) = torch.autograd.grad(sum(losses.values()), weights_DP)
    return found


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3), data=st.data())
@settings(max_examples=50)
def test_a_weight_is_so_many_copies_of_a_store(sizes: list[int], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)).filter(any))
    generator = torch.Generator().manual_seed(sum(sizes))
    count = sum(sizes)
    inputs_ND = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    probs_NP = torch.randn(count, PDFS, generator=generator, dtype=torch.float64).softmax(1)
    labels_N = torch.randint(-1, PDFS, (count,), generator=generator)
    start_DP = torch.randn(4, PDFS, generator=generator, dtype=torch.float64)
    plain = SoftAndHard(probs_NP, labels_N)
    shuffled_N = torch.randperm(count, generator=generator)
    weighted = WeightedStores(plain, labels_N, sizes, weights)
    found = gradient(weighted, start_DP, inputs_ND[shuffled_N], shuffled_N)
    stores = torch.arange(count).split(sizes)
    copies_B = torch.cat([store.repeat(weight) for store, weight in zip(stores, weights, strict=True)])
    expected = gradient(plain, start_DP, inputs_ND[copies_B], copies_B)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_a_batch_of_frames_that_do_not_count_moves_nothing() -> None:
    plain = SoftAndHard(torch.full((4, PDFS), 1 / PDFS), torch.tensor([0, 1, 2, 3]))
    weighted = WeightedStores(plain, plain.labels_N, [2, 2], [0, 1])
    found = gradient(weighted, torch.ones(3, PDFS), torch.randn(2, 3), torch.tensor([0, 1]))
    assert torch.equal(found, torch.zeros(3, PDFS))


@pytest.mark.parametrize("wrong", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, math.nan], [1.0, math.inf]])
def test_weights_that_are_none_are_wrong_usage(wrong: list[float]) -> None:
    with pytest.raises(UsageError, match="--transfer-weights"):
        WeightedStores(SoftAndHard(torch.ones(2, 2), torch.zeros(2)), torch.zeros(2), [1, 1], wrong)
