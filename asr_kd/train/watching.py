"""Sets that a training run reports on beside the dev set, and that decide nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asr_kd.errors import MismatchError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, match_labels
from asr_kd.options import option
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import check_same_features


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """What else ``metrics.jsonl`` tells after every look at the dev set."""

    watch_frames: Path | None = option(
        "frame store to report test_frame_accuracy of; it decides nothing", default=None, affects_result=False
    )
    watch_labels: Path | None = option("its labels", default=None, affects_result=False)
    watch_train: bool = option(
        "report fitted_frame_accuracy: of frames trained on, with the weights as they then are, without dropout",
        default=False,
        affects_result=False,
    )

    def __post_init__(self) -> None:
        if (self.watch_frames is None) != (self.watch_labels is None):
            raise UsageError("--watch-frames and --watch-labels belong together: give both or none")


def watched_sets(
    options: WatchOptions,
    stores: Sequence[FrameStore],
    labels: Sequence[Labels | None],
    selected: Sequence[np.ndarray | None],
    *,
    states_fingerprint: str,
    device: torch.device,
    dtype: str,
) -> dict[str, DevSet]:
    """The sets to report on: ``test``, and ``fitted``, the selected frames of the first store with labels.

    Raises:
        MismatchError: the frames given have other features, or the labels are of other frames or states.
    """
    watched: dict[str, DevSet] = {}
    if options.watch_frames is not None and options.watch_labels is not None:
        store, own = FrameStore(options.watch_frames), Labels.load(options.watch_labels)
        check_same_features([stores[0], store])
        match_labels([store], [own])
        if own.states_fingerprint != states_fingerprint:
            raise MismatchError(
                f"{own.path} holds the states {own.states_fingerprint}, the training labels {states_fingerprint}"
            )
        watched["test"] = DevSet(store, own.pdfs, device=device, dtype=dtype)
    if options.watch_train:
        for store, given, chosen_N in zip(stores, labels, selected, strict=True):
            if given is not None:
                pdfs_N = given.pdfs if chosen_N is None else np.where(chosen_N, given.pdfs, -1).astype(np.int32)
                watched["fitted"] = DevSet(store, pdfs_N, device=device, dtype=dtype)
                break
    return watched
