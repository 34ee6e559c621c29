"""The offset of some classes' biases that gets the most frames right."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tone_pipeline import Pipeline, asr_kd

from asr_kd.cli import correct_bias
from asr_kd.distill.bias import Rivals, best_offset, find_rivals
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels
from asr_kd.nets.acoustic_model import AcousticModel

FINE = torch.linspace(-12, 12, 2401, dtype=torch.float64)


def offset_of(logits: torch.Tensor, labels: torch.Tensor, pdfs: list[int], *, chunk: int = 4096) -> float:
    """The offset found from so many frames' logits at a time."""
    parts = [find_rivals(logits_BP, pdfs) for logits_BP in logits.split(chunk)]
    return best_offset(Rivals(*map(torch.cat, zip(*parts, strict=True))), labels)


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
    found = num_right(logits, labels, pdfs, offset_of(logits, labels, pdfs))
    assert found >= max(num_right(logits, labels, pdfs, float(offset)) for offset in FINE)


@given(seed=st.integers(0, 200), frames=st.integers(1, 40), chunk=st.integers(1, 41))
def test_it_is_the_middle_one_of_all_that_are_best_however_many_frames_are_seen_at_once(
    seed: int, frames: int, chunk: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(frames, 5, generator=generator)
    labels = torch.randint(-1, 5, (frames,), generator=generator)
    labels[-1] = 0
    pdfs, others = [1, 3], [0, 2, 4]
    whole = logits.double()[labels >= 0]
    borders = (whole[:, others].amax(dim=1) - whole[:, pdfs].amax(dim=1)).unique()
    tried = [float(borders[0]) - 1, *((borders[1:] + borders[:-1]) / 2).tolist(), float(borders[-1]) + 1]
    right = [num_right(logits, labels, pdfs, offset) for offset in tried]
    best = [offset for offset, number in zip(tried, right, strict=True) if number == max(right)]
    assert offset_of(logits, labels, pdfs, chunk=chunk) == best[(len(best) - 1) // 2]


def test_a_shift_of_the_logits_is_found_and_undone() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 4, (3000,), generator=generator)
    logits = torch.randn(3000, 4, generator=generator)
    logits[torch.arange(3000), labels] += 2.0
    shifted = logits.clone()
    shifted[:, 3] -= 3.5
    assert abs(offset_of(shifted, labels, [3]) - offset_of(logits, labels, [3]) - 3.5) < 1e-3
    assert abs(offset_of(shifted, labels, [3]) - 3.5) < 0.4


def test_the_command_finds_it_in_the_precision_asked_for_and_moves_these_biases_alone(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precisions: list[str] = []
    plain = AcousticModel.to

    def to(model: AcousticModel, device: torch.device, dtype: str = "fp32") -> AcousticModel:
        precisions.append(dtype)
        return plain(model, device, dtype)

    monkeypatch.setattr(AcousticModel, "to", to)
    for dtype in ("bf16", "fp32"):
        flags = ("--pdfs", 4, 5, "--dtype", dtype, *pipeline.dev)
        asr_kd("correct-bias", *flags, "--", pipeline.members[0], tmp_path / dtype)
    assert precisions == ["bf16", "fp32"]
    model, store = AcousticModel.load(pipeline.members[0]), FrameStore(pipeline.exp / "frames/dev")
    labels = torch.from_numpy(Labels.load(pipeline.exp / "ali/dev").pdfs)
    expected = offset_of(model.logits(store.windows(slice(0, store.num_frames))), labels, [4, 5])
    made: dict[str, Any] = json.loads((tmp_path / "fp32" / correct_bias.OFFSET_FILE).read_text())
    assert made["pdfs"] == [4, 5]
    assert abs(made["offset"] - expected) < 1e-3
    assert abs(expected) > 0.01
    before, after = model.net.state_dict(), AcousticModel.load(tmp_path / "fp32").net.state_dict()
    last = len(model.net.layers) - 1
    moved = torch.zeros(model.card.num_pdfs)
    moved[[4, 5]] = made["offset"]
    torch.testing.assert_close(after.pop(f"layers.{last}.bias"), before.pop(f"layers.{last}.bias") + moved)
    assert all(torch.equal(after[name], before[name]) for name in before)
