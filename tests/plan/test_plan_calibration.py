"""Calibration times whole steps of the product's own training and follows a line where a step would take long."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from asr_kd.distill.hinton import DistillWeights
from asr_kd.nets.dnn import NetOptions
from asr_kd.plan import calibration, timed_steps
from asr_kd.plan.calibration import (
    CPU,
    FEWEST_TIMES,
    MOST_TIMES,
    batches_to_measure,
    extrapolated,
    measure_averaging,
    measure_net,
    median_seconds,
    steps_to_take,
)
from asr_kd.plan.footprint import NetShape, Speech
from asr_kd.targets.store import SoftTargetOptions
from asr_kd.train.loop import TrainOptions

SPEECH = Speech(num_frames=0, num_utterances=0, dim=3, left=2, right=1)
PAPER = NetShape(input_dim=1040, num_layers=8, hidden_dim=2560, num_pdfs=14_000)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second whenever it is read."""
    ticks = itertools.count()
    for module in (calibration, timed_steps):
        monkeypatch.setattr(module, "now", lambda device: float(next(ticks)))
    monkeypatch.setattr(calibration, "BUDGET_SECONDS", 0.0)


@pytest.mark.parametrize("weights", [None, DistillWeights(soft_weight=0.9, hard_weight=0.1)])
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.usefixtures("ticking")
def test_a_step_is_from_one_question_for_its_losses_to_the_next(weights: DistillWeights | None, dense: bool) -> None:
    found = measure_net(
        SPEECH,
        NetOptions(num_layers=1, hidden_dim=8),
        11,
        TrainOptions(batch_size=16),
        targets=SoftTargetOptions(dense=dense, top_k=4),
        weights=weights,
    )
    frames = 16 * (timed_steps.WARM_UP_STEPS + FEWEST_TIMES + 1)
    assert found.step_seconds == 1
    assert found.forward_seconds == 1 / frames


@pytest.mark.usefixtures("ticking")
def test_a_step_of_several_networks_is_timed_as_one() -> None:
    found = measure_net(
        SPEECH,
        NetOptions(num_layers=1, hidden_dim=8),
        11,
        TrainOptions(batch_size=16),
        targets=SoftTargetOptions(),
        weights=None,
        together=3,
    )
    assert found.step_seconds == 1


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.usefixtures("ticking")
def test_averaging_is_timed_for_each_frame(dense: bool) -> None:
    assert measure_averaging(50, 3, SoftTargetOptions(dense=dense)) == 1 / 1024
    # Large inventories are timed on fewer frames.
    assert measure_averaging(20_000, 10, SoftTargetOptions(dense=dense)) == 1 / 100


@pytest.mark.usefixtures("ticking")
def test_work_is_done_once_before_it_is_timed() -> None:
    done: list[None] = []
    assert median_seconds(lambda: done.append(None), CPU) == 1
    assert len(done) == 1 + FEWEST_TIMES


@examples(max_examples=50)
@given(
    fixed=st.floats(0, 1), slope=st.floats(1e-6, 1e-2), small=st.integers(1, 500), batch_size=st.integers(1001, 20_000)
)
def test_a_line_is_followed_exactly(fixed: float, slope: float, small: int, batch_size: int) -> None:
    measured = [(size, fixed + slope * size) for size in (small, 2 * small)]
    assert extrapolated(batch_size, measured) == pytest.approx(fixed + slope * batch_size, rel=1e-6)


@examples(max_examples=50)
@given(first=st.floats(0.01, 10), second=st.floats(0.01, 10), batch_size=st.integers(200, 20_000))
def test_noise_never_makes_a_larger_batch_quicker_nor_dearer_than_in_proportion(
    first: float, second: float, batch_size: int
) -> None:
    found = extrapolated(batch_size, [(100, first), (200, second)])
    assert second <= found <= second * batch_size / 200 * (1 + 1e-9)


def test_a_batch_that_was_measured_is_taken_as_it_is() -> None:
    assert extrapolated(512, [(512, 0.3)]) == 0.3


@examples(max_examples=50)
@given(
    layers=st.integers(1, 12),
    hidden=st.integers(1, 4096),
    num_pdfs=st.integers(2, 50_000),
    batch_size=st.integers(1, 65_536),
)
def test_what_is_measured_is_the_batch_asked_for_or_two_smaller_ones(
    layers: int, hidden: int, num_pdfs: int, batch_size: int
) -> None:
    shape = NetShape(input_dim=1040, num_layers=layers, hidden_dim=hidden, num_pdfs=num_pdfs)
    batches = batches_to_measure(shape, batch_size, CPU)
    if len(batches) == 1:
        assert batches == [batch_size]
    else:
        assert 1 <= batches[0] < batches[1] < batch_size
    assert all(FEWEST_TIMES <= steps_to_take(shape, size) <= MOST_TIMES for size in batches)


def test_the_papers_network_is_measured_with_smaller_batches() -> None:
    assert max(batches_to_measure(PAPER, 4096, CPU)) < 512
    assert batches_to_measure(PAPER, 100, CPU) == [100]


def test_on_a_gpu_the_batch_asked_for_is_measured() -> None:
    assert batches_to_measure(PAPER, 4096, torch.device("cuda")) == [4096]


@pytest.mark.parametrize(("threads", "clock"), [(1, "process_time"), (2, "perf_counter")])
def test_one_thread_is_timed_by_its_processor(threads: int, clock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(timed_steps, "time", SimpleNamespace(**{clock: lambda: 7.0}))
    assert timed_steps.now(CPU) == 7
