"""The offset of some classes' biases that gets the most frames right."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_kd.distill.bias import best_offset

FINE = torch.linspace(-12, 12, 2401, dtype=torch.float64)


def num_right(logits: torch.Tensor, labels: torch.Tensor, pdfs: list[int], offset: float) -> int:
    moved = logits.double().clone()
    moved[:, pdfs] += offset
    return int((moved.argmax(dim=1) == labels)[labels >= 0].sum())


@given(seed=st.integers(0, 200), frames=st.integers(1, 40), pdfs=st.sampled_from([[0], [2], [1, 3], [0, 1, 2]]))
def test_no_offset_of_a_fine_grid_gets_more_frames_right(seed: int, frames: int, pdfs: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(frames, 5, generator=generator)
    labels = torch.randint(-1, 5, (frames,), generator=generator)
    labels[0] = 0
    found = num_right(logits, labels, pdfs, best_offset(logits, labels, pdfs))
    assert found >= max(num_right(logits, labels, pdfs, float(offset)) for offset in FINE)


def test_a_shift_of_the_logits_is_found_and_undone() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 4, (3000,), generator=generator)
    logits = torch.randn(3000, 4, generator=generator)
    logits[torch.arange(3000), labels] += 2.0
    shifted = logits.clone()
    shifted[:, 3] -= 3.5
    assert abs(best_offset(shifted, labels, [3]) - best_offset(logits, labels, [3]) - 3.5) < 1e-3
    assert abs(best_offset(shifted, labels, [3]) - 3.5) < 0.4
