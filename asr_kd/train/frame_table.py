"""Where the frames trained on lie: runs of consecutive frames in place of a number for each frame.

Legend: N frames trained on, S runs, U utterances, B frames of a batch, R rows, D features, W width of a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from asr_kd.frames.store import FrameStore, gather_windows

BLOCK_BITS = 8  # a block's runs are counted in one byte


@dataclass(frozen=True)
class FrameTable:
    """From a position among the frames trained on, ``0..N-1``, to the frame and the row where its window starts.

    Within a run, frame and row grow with the position, so two numbers tell where all of its frames are. A byte for
    each position finds its run: reading it is several times faster than a search, and takes less memory, also of
    the cache, than a row number.

    Attributes:
        ends_S: position after the last of each run, int64.
        frames_S: frame minus position in each run, int64.
        rows_S: row minus position in each run, int64.
        block_runs: the run of the first position of each block of 256, int64.
        later_runs_N: how many runs later a position's is than that of its block's first, uint8.
    """

    ends_S: Tensor
    frames_S: Tensor
    rows_S: Tensor
    block_runs: Tensor
    later_runs_N: Tensor

    @staticmethod
    def of_runs(lengths_S: Tensor, frames_S: Tensor, rows_S: Tensor) -> "FrameTable":
        """The table of runs given by their length (not 0), first frame and first row."""
        ends_S = lengths_S.cumsum(0)
        starts_S = ends_S - lengths_S
        num_frames = int(lengths_S.sum())
        begins = torch.arange(0, num_frames, 1 << BLOCK_BITS)
        block_runs = torch.searchsorted(ends_S, begins, right=True)
        later_runs = np.zeros((len(begins), 1 << BLOCK_BITS), np.uint8)
        later_runs.reshape(-1)[starts_S.numpy()] = 1
        later_runs[:, 0] = 0
        np.cumsum(later_runs, axis=1, dtype=np.uint8, out=later_runs)
        later_runs_N = torch.from_numpy(later_runs.reshape(-1)[:num_frames])
        return FrameTable(ends_S, frames_S - starts_S, rows_S - starts_S, block_runs, later_runs_N)

    def __len__(self) -> int:
        """N."""
        return len(self.later_runs_N)

    def locate(self, positions_B: Tensor) -> tuple[Tensor, Tensor]:
        """Frames and rows ``[B]`` int64 of positions."""
        positions_B = positions_B.long()
        run_B = self.block_runs.index_select(0, positions_B >> BLOCK_BITS)
        run_B += self.later_runs_N.index_select(0, positions_B)
        frames_B, rows_B = self.frames_S.index_select(0, run_B), self.rows_S.index_select(0, run_B)
        return frames_B.add_(positions_B), rows_B.add_(positions_B)

    def part(self, begin: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Length, first frame and first row ``[S]`` of the runs of consecutive positions."""
        first, last = torch.searchsorted(self.ends_S, torch.tensor([begin, end - 1]), right=True).tolist()
        ends_S = self.ends_S[first : last + 1].clamp(max=end)
        starts_S = torch.cat([torch.tensor([begin]), ends_S[:-1]])
        frames_S, rows_S = self.frames_S[first : last + 1], self.rows_S[first : last + 1]
        return ends_S - starts_S, starts_S + frames_S, starts_S + rows_S

    def to(self, device: torch.device) -> "FrameTable":
        """The table on a device."""
        return FrameTable(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def table_of_stores(stores: Sequence[FrameStore], eligible: Sequence[np.ndarray | None]) -> FrameTable:
    """The table of frames of several stores, their frames and padded rows numbered through.

    Args:
        eligible: which frames of a store are trained on, ``[N]`` bool; None where all are.
    """
    runs, frame, row = [], 0, 0
    for store, given in zip(stores, eligible, strict=True):
        lengths_S, frames_S, rows_S = _runs(store, given)
        runs.append((lengths_S, frames_S + frame, rows_S + row))
        frame, row = frame + store.num_frames, row + len(store.padded)
    return FrameTable.of_runs(*(torch.from_numpy(np.concatenate(column)) for column in zip(*runs, strict=True)))


def _runs(store: FrameStore, eligible: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length, first frame and first row ``[S]`` of each run of eligible frames within an utterance."""
    index, padding = store.index, store.left + store.right
    filled_U = np.flatnonzero(index.counts)
    counts_U, firsts_U = index.counts[filled_U], index.firsts[filled_U]
    if eligible is None:
        return counts_U, firsts_U, firsts_U + filled_U * padding
    lasts_U = firsts_U + counts_U - 1
    starts_N, stops_N = eligible.copy(), eligible.copy()
    starts_N[1:] &= ~eligible[:-1]
    stops_N[:-1] &= ~eligible[1:]
    starts_N[firsts_U], stops_N[lasts_U] = eligible[firsts_U], eligible[lasts_U]
    begins_S, lasts_S = np.flatnonzero(starts_N), np.flatnonzero(stops_N)
    utterance_S = filled_U[np.searchsorted(firsts_U, begins_S, side="right") - 1]
    return lasts_S + 1 - begins_S, begins_S, begins_S + utterance_S * padding


class PaddedRows:
    """The padded rows of several stores, numbered through, each store where it lies: none is copied.

    Args:
        parts: ``[R, D]`` each. A memory-mapped store stays so: processes that train side by side share its pages.
        context: frames of a window.
    """

    def __init__(self, parts: Sequence[Tensor], context: int) -> None:
        self._parts = list(parts)
        self.context = context
        self._starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).tolist()

    @property
    def dim(self) -> int:
        """D."""
        return self._parts[0].shape[1]

    def windows(self, rows_B: Tensor) -> Tensor:
        """The windows ``[B, W]`` that start at the given rows."""
        if len(self._parts) == 1:
            return gather_windows(self._parts[0], rows_B, self.context)
        # The largest store gathers for all, the others replace what is theirs: most windows are copied only once.
        largest = max(range(len(self._parts)), key=lambda number: len(self._parts[number]))
        rows_in_largest_B = (rows_B - self._starts[largest]).clamp(0, len(self._parts[largest]) - self.context)
        inputs_BW = gather_windows(self._parts[largest], rows_in_largest_B, self.context)
        for number, (part, start) in enumerate(zip(self._parts, self._starts, strict=False)):
            own_B = torch.nonzero((rows_B >= start) & (rows_B < start + len(part))).squeeze(1)
            if number != largest and len(own_B):
                own_BW = gather_windows(part, rows_B[own_B] - start, self.context)
                # NumPy copies whole rows, four times as fast as index_copy_.
                inputs_BW.numpy()[own_B.numpy()] = own_BW.numpy()
        return inputs_BW

    def copy(self, begin: int, end: int, out_RD: Tensor) -> None:
        """Copy consecutive rows, wherever they lie."""
        for part, start in zip(self._parts, self._starts, strict=False):
            low, high = max(begin, start), min(end, start + len(part))
            if low < high:
                out_RD[low - begin : high - begin].copy_(part[low - start : high - start])

    def to(self, device: torch.device) -> "PaddedRows":
        """All rows as one array on a device."""
        whole_RD = torch.empty((self._starts[-1], self.dim), device=device)
        for part, start in zip(self._parts, self._starts, strict=False):
            whole_RD[start : start + len(part)].copy_(part)
        return PaddedRows([whole_RD], self.context)
