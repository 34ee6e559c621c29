"""A record keeps the largest probabilities and an unbiased sample of the rest, and its mass is one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.distill.soft_loss import dense_soft_loss, sparse_soft_loss
from asr_kd.errors import UsageError
from asr_kd.targets.record import RecordLayout

HALF = 2**-10  # float16 keeps 11 bits


def distributions(frames: int, pdfs: int, seed: int, sharpness: float = 3.0) -> torch.Tensor:
    logits = sharpness * torch.randn(frames, pdfs, generator=torch.Generator().manual_seed(seed))
    return torch.softmax(logits, dim=1)


def packed(layout: RecordLayout, probs_BP: torch.Tensor, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    records = layout.pack(probs_BP, torch.Generator().manual_seed(seed))
    assert records.shape == (len(probs_BP), layout.num_bytes)
    return layout.unpack(torch.from_numpy(records))


def spread(layout: RecordLayout, ids_BK: torch.Tensor, probs_BK: torch.Tensor) -> torch.Tensor:
    """The distributions ``[B, P]`` that records stand for."""
    return torch.zeros(len(ids_BK), layout.num_pdfs).scatter_add_(1, ids_BK, probs_BK)


def test_eight_and_sixteen_of_14000_classes_take_66_bytes() -> None:
    layout = RecordLayout(14_000, 8, 16)
    assert layout.num_bytes == 66
    assert layout.pack(distributions(2, 14_000, 1), torch.Generator()).nbytes == 2 * 66


@given(
    pdfs=st.integers(2, 60),
    top=st.integers(1, 60),
    tail=st.integers(1, 20),
    frames=st.integers(1, 6),
    seed=st.integers(0, 999),
    sharpness=st.floats(0, 30),
)
@settings(max_examples=60, deadline=None)
def test_a_record_keeps_the_top_samples_the_rest_and_sums_to_one(
    pdfs: int, top: int, tail: int, frames: int, seed: int, sharpness: float
) -> None:
    layout = RecordLayout(pdfs, min(top, pdfs), tail)
    probs_BP = distributions(frames, pdfs, seed, sharpness)
    ids_BK, probs_BK = packed(layout, probs_BP)
    torch.testing.assert_close(probs_BK.sum(dim=1), torch.ones(frames))
    assert (probs_BK >= 0).all()
    largest = probs_BP.topk(layout.top, dim=1)
    torch.testing.assert_close(ids_BK[:, : layout.top], largest.indices)
    torch.testing.assert_close(probs_BK[:, : layout.top], largest.values, rtol=4 * HALF, atol=1e-6)
    if layout.top < pdfs:
        drawn = ids_BK[:, layout.top :]
        assert drawn.shape[1] == tail
        assert not (drawn[:, :, None] == ids_BK[:, None, : layout.top]).any()


@pytest.mark.parametrize("pdfs", [65_536, 65_537])
@pytest.mark.parametrize("frames", [1, 3])
def test_class_ids_of_any_size_survive(pdfs: int, frames: int) -> None:
    layout = RecordLayout(pdfs, 2, 3)
    probs_BP = torch.full((frames, pdfs), 1e-9)
    probs_BP[:, pdfs - 1] = 0.75
    probs_BP[:, 0] = 0.25
    ids_BK, probs_BK = packed(layout, probs_BP)
    assert ids_BK[:, :2].tolist() == [[pdfs - 1, 0]] * frames
    assert ((ids_BK > 0) | (probs_BK == 0.25)).all()
    torch.testing.assert_close(probs_BK[:, :2], torch.tensor([[0.75, 0.25]] * frames), rtol=0, atol=1e-3)


def test_a_certain_target_stays_certain() -> None:
    layout = RecordLayout(10, 2, 4)
    probs_BP = torch.zeros(1, 10)
    probs_BP[0, 6] = 1.0
    ids_BK, probs_BK = packed(layout, probs_BP)
    torch.testing.assert_close(spread(layout, ids_BK, probs_BK), probs_BP)


def test_an_inventory_smaller_than_the_top_is_kept_whole() -> None:
    layout = RecordLayout(5, 5, 16)
    probs_BP = distributions(20, 5, 3)
    ids_BK, probs_BK = packed(layout, probs_BP)
    torch.testing.assert_close(spread(layout, ids_BK, probs_BK), probs_BP, rtol=4 * HALF, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_expected_gradient_of_a_sampled_target_is_that_of_the_whole(temperature: float) -> None:
    num_samples, layout = 20_000, RecordLayout(30, 3, 4)
    probs_P = distributions(1, 30, 4, sharpness=1.5)[0]
    logits_P = torch.randn(30, generator=torch.Generator().manual_seed(5))
    ids_BK, probs_BK = packed(layout, probs_P.expand(num_samples, -1))

    sampled = logits_P.expand(num_samples, -1).clone().requires_grad_()
    sparse_soft_loss(sampled, ids_BK, probs_BK, temperature).backward()
    whole = logits_P[None].clone().requires_grad_()
    dense_soft_loss(whole, probs_P[None], temperature).backward()
    assert sampled.grad is not None and whole.grad is not None

    tail_mass = 1 - float(probs_P.topk(3).values.sum())
    deviation = temperature * (tail_mass * probs_P / layout.tail / num_samples).sqrt()
    error = (sampled.grad.sum(dim=0) - whole.grad[0]).abs()
    assert tail_mass > 0.3
    assert (error <= 5 * deviation + temperature * 2 * HALF * probs_P).all()
    # One sample alone is far from it, so the bound above says something.
    assert float((sampled.grad[0] * num_samples - whole.grad[0]).abs().max()) > 10 * float(error.max())


def test_the_draws_depend_on_the_seed_alone() -> None:
    layout, probs_BP = RecordLayout(50, 3, 5), distributions(4, 50, 1)
    torch.manual_seed(1)
    first = layout.pack(probs_BP, torch.Generator().manual_seed(3))
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, layout.pack(probs_BP, torch.Generator().manual_seed(3)))
    assert (first != layout.pack(probs_BP, torch.Generator().manual_seed(4))).any()


@pytest.mark.parametrize(("top", "tail", "said"), [(0, 4, "--top-k"), (11, 4, "--top-k"), (4, 0, "--tail-samples")])
def test_impossible_layouts_are_wrong_usage(top: int, tail: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        RecordLayout(10, top, tail)
