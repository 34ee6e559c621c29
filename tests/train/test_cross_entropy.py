"""Cross-entropy with labels in one pass equals torch's, also where frames have no label."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from asr_kd.train.cross_entropy import SparseTargets, sparse_cross_entropies
from asr_kd.train.frame_set import Batch
from asr_kd.train.objective import HardTargets


@given(
    labels=st.lists(st.integers(-1, 6), min_size=1, max_size=20),
    weight=st.sampled_from([1.0, 0.1, 5.0]),
    scale=st.sampled_from([0.1, 3.0, 100.0]),
)
@settings(max_examples=60, deadline=None)
def test_loss_and_gradient_of_labels_equal_those_of_torch(labels: list[int], weight: float, scale: float) -> None:
    labels_N = torch.tensor(labels, dtype=torch.int32)
    generator = torch.Generator().manual_seed(0)
    frames_B = torch.randperm(len(labels), generator=generator)
    logits_BP = torch.randn(len(labels), 7, generator=generator, dtype=torch.float64).mul_(scale).requires_grad_()
    found = HardTargets(labels_N, weight).losses(logits_BP, Batch(frames_B, torch.empty(0)))["hard"]
    labels_B = labels_N[frames_B].long()
    total = functional.cross_entropy(logits_BP, labels_B, ignore_index=-1, reduction="sum")
    expected = weight * total / max(1, int((labels_B >= 0).sum()))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, logits_BP)[0], torch.autograd.grad(expected, logits_BP)[0], rtol=1e-6, atol=1e-9
    )


def dense_loss(logits_BP: torch.Tensor, given: SparseTargets) -> torch.Tensor:
    probs_BP = torch.zeros_like(logits_BP).scatter_add(1, given.ids_BK, given.probs_BK)
    logq_BP = torch.log_softmax(logits_BP / given.temperature, dim=1)
    return -(given.weights_B * (probs_BP * logq_BP).sum(dim=1)).sum() * given.temperature**2


@given(factors=st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=1, max_size=3), rows=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_several_targets_together_equal_each_alone_however_their_losses_are_weighed(
    factors: list[float], rows: int
) -> None:
    generator = torch.Generator().manual_seed(rows)
    logits_BP = torch.randn(rows, 11, generator=generator, dtype=torch.float64).mul_(3).requires_grad_()
    targets = []
    for number in range(len(factors)):
        ids_BK = torch.randint(11, (rows, 4), generator=generator)
        probs_BK = torch.rand(rows, 4, generator=generator, dtype=torch.float64)
        weights_B = torch.rand(rows, generator=generator, dtype=torch.float64)
        targets.append(SparseTargets(ids_BK, probs_BK / probs_BK.sum(dim=1, keepdim=True), weights_B, 1.0 + number))
    found = sparse_cross_entropies(logits_BP, targets)
    expected = [dense_loss(logits_BP, one) for one in targets]
    torch.testing.assert_close(list(found), expected)
    together, apart = (sum(f * loss for f, loss in zip(factors, losses, strict=True)) for losses in (found, expected))
    assert isinstance(together, torch.Tensor)
    assert isinstance(apart, torch.Tensor)
    torch.testing.assert_close(*(torch.autograd.grad(total, logits_BP)[0] for total in (together, apart)))
    (alone,) = torch.autograd.grad(sparse_cross_entropies(logits_BP, targets)[-1], logits_BP)
    torch.testing.assert_close(alone, torch.autograd.grad(dense_loss(logits_BP, targets[-1]), logits_BP)[0])


@given(shifts=st.lists(st.sampled_from([-1e4, -150.0, -80.0, 0.0, 80.0, 150.0, 1e4]), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_what_is_added_to_all_logits_of_a_row_changes_nothing(shifts: list[float]) -> None:
    """Also where the powers of the logits as they are would be infinite, or all of them zero."""
    generator = torch.Generator().manual_seed(0)
    logits_BP = torch.randn(len(shifts), 9, generator=generator).mul_(4)
    # As far as fp32 holds the sums without rounding.
    logits_BP = logits_BP.mul_(64).round_().div_(64)
    targets = SparseTargets(
        torch.tensor([[1, 3]] * len(shifts)), torch.tensor([[0.75, 0.25]] * len(shifts)), torch.ones(len(shifts)), 2.0
    )
    found = []
    for added in (torch.zeros(len(shifts)), torch.tensor(shifts)):
        moved_BP = (logits_BP + added[:, None]).requires_grad_()
        (loss,) = sparse_cross_entropies(moved_BP, [targets])
        found.append((loss, torch.autograd.grad(loss, moved_BP)[0]))
    (loss, gradient), (moved_loss, moved_gradient) = found
    torch.testing.assert_close(moved_loss, loss, rtol=1e-5, atol=0.05)
    torch.testing.assert_close(moved_gradient, gradient, rtol=1e-4, atol=1e-6)
