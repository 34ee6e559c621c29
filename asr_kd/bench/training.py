"""One training step, ours and torch's with its defaults, as something to call.

Legend: B frames of a batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from asr_kd.frames.store import FrameStore
from asr_kd.nets.device import DeviceOptions
from asr_kd.nets.dnn import DNN
from asr_kd.nets.group import DNNGroup
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import Batch, FrameSet, TrainingFrames
from asr_kd.train.loop import Trainer, TrainOptions
from asr_kd.train.objective import HardTargets, Objective
from asr_kd.train.schedule import OptimizerOptions

LEARNING_RATE = 1e-5  # the same steps thousands of times must not end in overflow


def our_step(
    net: DNN, store: FrameStore, frames: FrameSet, batch: Batch, dtype: str, objective: Objective | None = None
) -> Callable[[], object]:
    """The step of `asr_kd.train.loop.Trainer` on a batch that is there already, hard targets by default."""
    trainer = our_trainer(net, store, frames, len(batch.frames_B), dtype, objective)
    return lambda: trainer.step(batch)


def our_trainer(
    net: DNN | DNNGroup,
    store: FrameStore,
    frames: TrainingFrames,
    batch_size: int,
    dtype: str,
    objective: Objective | None = None,
) -> Trainer:
    """What makes the steps that are timed."""
    options = TrainOptions(
        batch_size=batch_size,
        optimizer=OptimizerOptions(learning_rate=LEARNING_RATE),
        device=DeviceOptions(device=str(frames.device), dtype=dtype),
    )
    dev = DevSet(store, frames.labels_N.cpu().numpy(), device=frames.device)
    return Trainer(net.train(), frames, objective or HardTargets(frames.labels_N), dev, options, Path())


def default_step(net: nn.Module, frames: FrameSet, batch: Batch) -> Callable[[], object]:
    """What torch does unasked: fp32 by its default products, cross-entropy, AdamW."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE)
    labels_B = frames.labels_N[batch.frames_B].long()

    def step() -> None:
        with default_products():
            optimizer.zero_grad()
            functional.cross_entropy(net(batch.inputs_BW), labels_B).backward()
            optimizer.step()

    return step


@contextmanager
def default_products() -> Iterator[None]:
    """Products of fp32 matrices as torch makes them unasked."""
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "none"
    try:
        yield
    finally:
        settings.fp32_precision = before


def first_batch(frames: FrameSet, batch_size: int) -> Batch:
    """The first batch of an epoch."""
    return next(frames.epoch(seed=1, epoch=0, batch_size=batch_size))
