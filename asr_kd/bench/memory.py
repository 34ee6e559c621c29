"""Resident memory that training on many frames needs beyond the model: its peak in a process of its own."""

import resource
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from asr_kd.bench.figure import Figure, Goal
from asr_kd.bench.synthetic import frame_set, make_store
from asr_kd.bench.training import first_batch, our_step
from asr_kd.frames.store import FEATS_FILE, FrameStore
from asr_kd.nets.dnn import DNN, NetOptions

NET = NetOptions(num_layers=4, hidden_dim=512)
NUM_PDFS, BATCH_SIZE = 500, 1024
LABEL_BYTES = 4
TRAINED_BATCHES = 20  # the rest of the epoch is gathered only: that touches all there is
DISK_FACTOR = 1.2


def measure(*, device: str = "cpu", num_frames: int = 3_000_000) -> list[Figure]:
    """Growth over the size of the features, while an epoch passes."""
    text = f"training on {num_frames / 1e6:g} M frames: growth of resident memory over the features' bytes"
    figure = partial(Figure, key="growth", text=text, goal=Goal(1.1, at_most=True))
    with tempfile.TemporaryDirectory() as folder:
        needed = DISK_FACTOR * num_frames * 160
        free = shutil.disk_usage(folder).free
        if free < needed:
            note = f"needs {needed / 1e9:.1f} GB in {Path(folder).parent}, which has {free / 1e9:.1f} GB"
            return [figure(value=None, note=note)]
        small, large = Path(folder, "small"), Path(folder, "large")
        make_store(small, 4 * BATCH_SIZE)
        make_store(large, num_frames)
        without_frames = _resident_after_training(FrameStore(small), all_batches=False)
        _resident_after_training(FrameStore(large), all_batches=True)
        grown = _peak_bytes() - without_frames
        features = (large / FEATS_FILE).stat().st_size
    return [
        figure(value=grown / features),
        Figure(key="features_bytes", text="features with their padding", value=features / 1e6, unit="MB"),
        Figure(key="grown_bytes", text="growth", value=grown / 1e6, unit="MB"),
        Figure(
            key="labels_bytes",
            text="of which labels, which training cannot do without",
            value=LABEL_BYTES * num_frames / 1e6,
            unit="MB",
        ),
    ]


def _resident_after_training(store: FrameStore, *, all_batches: bool) -> int:
    """Resident bytes at the end, while network, optimiser and frames are still there."""
    frames = frame_set(store, NUM_PDFS, torch.device("cpu"))
    net = DNN(store.input_dim, NUM_PDFS, NET, seed=1)
    step = our_step(net, store, frames, first_batch(frames, BATCH_SIZE), "auto")
    for _ in range(TRAINED_BATCHES):
        step()
    for _ in frames.epoch(seed=1, epoch=1, batch_size=BATCH_SIZE) if all_batches else ():
        pass
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
