"""A small training problem: frames whose label is a function of the frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from asr_kd.frames.store import FrameStore
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import Batch, FrameSet
from asr_kd.train.loop import Trainer, TrainOptions, Transform
from asr_kd.train.objective import HardTargets, Objective
from asr_kd.train.ranks import ALONE, Ranks

CPU = torch.device("cpu")
PDFS = 6


def learnable_labels(store: FrameStore) -> np.ndarray:
    weights = np.random.default_rng(0).standard_normal((store.dim, PDFS))
    return (np.asarray(store.own_frames(slice(0, store.num_frames))) @ weights).argmax(axis=1).astype(np.int32)


@dataclass(frozen=True)
class Problem:
    """What a run needs beside its directory."""

    store: FrameStore
    dev_store: FrameStore
    frames: FrameSet
    dev: DevSet
    options: TrainOptions
    dropout: float = 0.0

    def with_options(self, *, dropout: float = 0.0, **optimizer: object) -> "Problem":
        asked = replace(self.options.optimizer, **optimizer)  # type: ignore[arg-type]
        return replace(self, options=replace(self.options, optimizer=asked), dropout=dropout)

    def new_net(self) -> DNN:
        options = NetOptions(num_layers=2, hidden_dim=16, dropout=self.dropout)
        return DNN(self.store.input_dim, PDFS, options, seed=self.options.seed)

    def with_early_stopping(self, looks: int, **others: int) -> "Problem":
        """Twenty epochs that over-fit the dev set, and stop early."""
        steep = replace(self.options.optimizer, learning_rate=0.1)
        asked = replace(self.options, optimizer=steep, num_epochs=20, early_stopping=looks, **others)  # type: ignore[arg-type]
        return replace(self, options=asked)

    def run(
        self,
        directory: Path,
        objective: Objective | None = None,
        watched: Mapping[str, DevSet] | None = None,
        transforms: Sequence[Transform] = (),
        ranks: Ranks = ALONE,
    ) -> DNN:
        """Train, or carry on, in a directory."""
        directory.mkdir(exist_ok=True)
        net = self.new_net()
        hard = HardTargets(self.frames.labels_N)
        Trainer(
            net,
            self.frames,
            objective or hard,
            self.dev,
            self.options,
            directory,
            watched=watched,
            transforms=transforms,
            ranks=ranks,
        ).run()
        return net


class TwoLosses:
    """The labels' cross-entropy, cut in two parts."""

    def __init__(self, labels_N: torch.Tensor, part: float) -> None:
        self._labels_N, self._part = labels_N, part

    def losses(self, logits_BP: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        loss = functional.cross_entropy(logits_BP, self._labels_N[batch.frames_B].long())
        return {"much": (1 - self._part) * loss, "little": self._part * loss}
