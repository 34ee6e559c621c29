"""Cross-entropy with labels in one pass equals torch's, also where frames have no label."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

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
