"""Context windows: gathering a minibatch, next to the step that trains on it and to a Dataset that makes frames singly.

Legend: B frames of a batch, W width of a window.
"""

import tempfile
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from asr_kd.bench.clock import LEAST_SECONDS, interleave, stopwatch_of
from asr_kd.bench.figure import Figure, Goal
from asr_kd.bench.synthetic import frame_set, make_store
from asr_kd.bench.training import our_step
from asr_kd.frames.store import FrameStore
from asr_kd.nets.device import computes_bf16
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.train.frame_set import Batch, FrameSet

# On a GPU the paper's network is what the gather must keep up with.
NETS = {
    "cpu": (NetOptions(num_layers=4, hidden_dim=512), 500, 1024),
    "cuda": (NetOptions(num_layers=8, hidden_dim=2560), 14_000, 4096),
}
GATHER, SINGLY, COPY = "gather", "__getitem__ + collate", "copy"


def measure(
    *,
    device: str = "cpu",
    num_frames: int = 500_000,  # 80 MB of features: more than any cache holds
    rounds: int = 11,
    least_seconds: float = LEAST_SECONDS,
) -> list[Figure]:
    """Frames a second, share of a step in each precision, and the lead over making frames singly."""
    place = torch.device(device)
    dtypes = ["fp32", "bf16"] if computes_bf16(place) else ["fp32"]
    net, num_pdfs, batch_size = NETS[place.type]
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), num_frames)
        frames = frame_set(store, num_pdfs, place)
        batches = endless(frames, batch_size)
        variants: dict[str, Callable[[], object]] = {
            GATHER: lambda: next(batches),
            SINGLY: _singly(store, frames, batch_size),
            COPY: _copy(store, batch_size, place),
        }
        batch = next(batches)
        for dtype in dtypes:
            trained = DNN(store.input_dim, num_pdfs, net, seed=1).to(place)
            variants[dtype] = our_step(trained, store, frames, batch, dtype)
        run = interleave(variants, rounds=rounds, stopwatch=stopwatch_of(place), least_seconds=least_seconds)
    shares = {dtype: run.ratio(GATHER, dtype) if dtype in dtypes else None for dtype in ("fp32", "bf16")}
    shape = f"{net.num_layers} x {net.hidden_dim}, B = {batch_size:,}"
    goals = {"bf16": Goal(0.01 if place.type == "cuda" else 0.03, at_most=True)}
    return [
        Figure(key="frames_per_s", text="speed", value=batch_size / run.median(GATHER), unit="frames/s"),
        Figure(
            key="of_limit",
            text="of the limit (the rows of as many windows copied in order)",
            value=run.ratio(COPY, GATHER),
            unit="%",
        ),
        *(
            Figure(
                key=f"of_{dtype}_step",
                text=f"time of a gather over that of a {dtype} step ({shape})",
                value=share,
                unit="%",
                goal=goals.get(dtype),
                note="" if share is not None else f"{device} does not compute bf16 in hardware",
            )
            for dtype, share in shares.items()
        ),
        Figure(key="vs_getitem_collate", text=f"over {SINGLY}", value=run.ratio(SINGLY, GATHER), goal=Goal(6)),
    ]


def _copy(store: FrameStore, batch_size: int, device: torch.device) -> Callable[[], object]:
    """The bytes of a batch, copied from one stretch of the store's rows after the other."""
    rows = batch_size * (store.left + 1 + store.right)
    padded = store.padded.to(device)
    stretches = cycle(padded.split(rows)[: len(padded) // rows])
    copied = torch.empty(rows, store.dim, device=device)
    return lambda: copied.copy_(next(stretches))


def endless(frames: FrameSet, batch_size: int) -> Iterator[Batch]:
    """The batches of one epoch after the other, shuffling included."""
    epoch = 0
    while True:
        yield from frames.epoch(seed=1, epoch=epoch, batch_size=batch_size)
        epoch += 1


class SingleFrames(Dataset[tuple[Tensor, Tensor]]):
    """The usual way: one frame's window and label at a time, from arrays in memory."""

    def __init__(self, padded: Tensor, rows_N: Tensor, labels_N: Tensor, context: int) -> None:
        self._padded, self._rows_N, self._labels_N, self._context = padded, rows_N, labels_N, context

    def __len__(self) -> int:
        return len(self._rows_N)

    def __getitem__(self, frame: int) -> tuple[Tensor, Tensor]:
        row = int(self._rows_N[frame])
        return self._padded[row : row + self._context].reshape(-1), self._labels_N[frame]


def _singly(store: FrameStore, frames: FrameSet, batch_size: int) -> Callable[[], object]:
    context = store.left + 1 + store.right
    dataset = SingleFrames(store.padded, torch.from_numpy(store.window_rows()), frames.labels_N.cpu(), context)
    generator = torch.Generator().manual_seed(0)

    def batch() -> object:
        wanted = torch.randint(len(dataset), (batch_size,), generator=generator).tolist()
        windows_BW, labels_B = default_collate([dataset[frame] for frame in wanted])
        return windows_BW.to(frames.device), labels_B.to(frames.device)

    return batch
