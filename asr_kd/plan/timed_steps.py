"""The time of whole training steps: a real training run on made-up frames, ended after a few of them.

Legend: B frames of a batch, P pdfs.
"""

import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asr_kd.bench.synthetic import frame_set, make_model, random_labels
from asr_kd.distill.hinton import DistillObjective, DistillWeights, StoredTeacher
from asr_kd.frames.store import FrameStore
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.nets.group import DNNGroup
from asr_kd.targets.store import SoftTargetOptions, SoftTargets, TargetReader, write_soft_targets
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import Batch, FrameSet, GroupFrames
from asr_kd.train.loop import Trainer, TrainOptions
from asr_kd.train.objective import HardTargets, Objective

WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Lesson:
    """What a network is trained on: frames with made-up labels and, for a student, soft targets.

    Args:
        directory: for soft targets and what a run writes.
        weights: of a student's terms; None for a network that learns from labels alone.
    """

    store: FrameStore
    num_pdfs: int
    directory: Path
    targets: SoftTargetOptions
    weights: DistillWeights | None

    def step_seconds(self, net: NetOptions, options: TrainOptions, num_steps: int, together: int) -> float:
        """Median time of a step, of one network or of several together, after the warm-up."""
        device = torch.device(options.device.device)
        frames = frame_set(self.store, self.num_pdfs, device)
        watch = _Watch(self._objective(frames, device), WARM_UP_STEPS + num_steps, device)
        dev = DevSet(self.store, random_labels(self.store.num_frames, self.num_pdfs), device=device)
        seeds = range(1, together + 1)
        nets = [DNN(self.store.input_dim, self.num_pdfs, net, seed=seed).to(device) for seed in seeds]
        trained, heard = (nets[0], frames) if together == 1 else (DNNGroup(nets), GroupFrames(frames, seeds))
        with suppress(_Enough):
            Trainer(trained, heard, watch, dev, options, self.directory, title="calibrate ").run()
        taken = [after - before for before, after in zip(watch.times, watch.times[1:], strict=False)]
        return statistics.median(taken[WARM_UP_STEPS:])

    def _objective(self, frames: FrameSet, device: torch.device) -> Objective:
        if self.weights is None:
            return HardTargets(frames.labels_N)
        reader = TargetReader([self._soft_targets()], device)
        return DistillObjective(StoredTeacher(reader), frames.labels_N, self.weights)

    def _soft_targets(self) -> SoftTargets:
        """Those of a network with hardly any layer and as many outputs."""
        model = make_model(self.store, NetOptions(num_layers=1, hidden_dim=8), self.num_pdfs, seed=1)
        directory = self.directory / "soft"
        directory.mkdir()
        write_soft_targets(directory, self.store, {Path("made-up"): model}, self.targets, device=torch.device("cpu"))
        return SoftTargets(directory)


def now(device: torch.device) -> float:
    """Seconds on a clock: processor time where one thread computes, so that a busy machine hardly matters."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()


class _Enough(Exception):
    """Ends a training run after the steps that were wanted."""


class _Watch:
    """An objective that notes when it is asked: from one call to the next is one whole step."""

    def __init__(self, objective: Objective, num_steps: int, device: torch.device) -> None:
        self._objective, self._num_steps, self._device = objective, num_steps, device
        self.times: list[float] = []

    def losses(self, logits_BP: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The objective's own."""
        self.times.append(now(self._device))
        if len(self.times) > self._num_steps:
            raise _Enough
        return self._objective.losses(logits_BP, batch)
