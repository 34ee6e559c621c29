"""The small training problem that tests of the loop share."""

from collections.abc import Callable

import pytest
from training_problem import CPU, Problem, learnable_labels

from asr_kd.frames.store import FrameStore
from asr_kd.nets.device import DeviceOptions
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import FrameSet
from asr_kd.train.loop import TrainOptions
from asr_kd.train.schedule import OptimizerOptions


@pytest.fixture(scope="session")
def problem(make_store: Callable[..., FrameStore]) -> Problem:
    """150 frames in 5 batches, 3 epochs."""
    store, dev_store = make_store([70, 50, 30], seed=1), make_store([40], seed=2)
    frames = FrameSet([store], [learnable_labels(store)], use_unlabelled=False, device=CPU)
    options = TrainOptions(
        num_epochs=3,
        batch_size=32,
        optimizer=OptimizerOptions(learning_rate=0.02),
        device=DeviceOptions(dtype="fp32"),
        checkpoint_seconds=1e9,
    )
    return Problem(store, dev_store, frames, DevSet(dev_store, learnable_labels(dev_store), device=CPU), options)
