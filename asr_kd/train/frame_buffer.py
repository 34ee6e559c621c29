"""An epoch's frames in shuffled order, a buffer at a time: everything at once, or shards read from disk.

A shard is a stretch of consecutive frames. Shards are drawn in random order, several are mixed in a buffer,
and the frames of a buffer are shuffled: the whole order depends on the seed and the epoch alone, and where
a batch lies in it is arithmetic, so an interrupted epoch carries on without reading what it is done with.

Legend: N frames of a buffer, B frames of a batch, S runs of frames, K blocks of rows, R rows, D features,
W width of a window.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import torch
from torch import Tensor

from asr_kd.train.frame_table import FrameTable, PaddedRows

CPU = torch.device("cpu")
SHARD_FRAMES = 4096
SHARDS_A_BUFFER = 64
FOUND_FRAMES = 1 << 15


@dataclass(frozen=True)
class EpochPlan:
    """Which frames each buffer of an epoch holds.

    Attributes:
        shards: of each buffer, its stretches of positions ``(begin, end)``.
        begins: place in the epoch of each buffer's first frame, and last the epoch's end.
        seeds: of the order of frames in each buffer.
    """

    shards: Sequence[Sequence[tuple[int, int]]]
    begins: Sequence[int]
    seeds: Sequence[int]

    def numbers_from(self, place: int) -> range:
        """The buffers from the one that holds a place of the epoch to the last."""
        return range(bisect_right(self.begins, place) - 1, len(self.shards))


def plan_epoch(num_frames: int, shuffle_frames: int | None, *, seed: int, epoch: int) -> EpochPlan:
    """Divide an epoch into buffers.

    Args:
        shuffle_frames: most frames of a buffer; None for all at once.
    """
    drawn_from = seed * 1_000_003 + epoch
    if shuffle_frames is None or shuffle_frames >= num_frames:
        return EpochPlan([[(0, num_frames)]], [0, num_frames], [drawn_from])
    generator = torch.Generator().manual_seed(drawn_from)
    shard = max(1, min(SHARD_FRAMES, shuffle_frames // SHARDS_A_BUFFER))
    num_shards = -(-num_frames // shard)
    num_buffers = -(-num_shards // (shuffle_frames // shard))
    order = torch.randperm(num_shards, generator=generator) * shard
    buffers = [
        [(begin, min(begin + shard, num_frames)) for begin in starts.tolist()]
        for starts in order.tensor_split(num_buffers)
    ]
    sizes = torch.tensor([sum(end - begin for begin, end in shards) for shards in buffers])
    seeds = torch.randint(2**31, (num_buffers,), generator=generator).tolist()
    return EpochPlan(buffers, [0, *sizes.cumsum(0).tolist()], seeds)


class FrameBuffer:
    """Frames that are shuffled together, and their features.

    Args:
        begin: place in the epoch of the first frame.
        order_N: the position in `table` of each, in the epoch's order.
    """

    def __init__(self, begin: int, order_N: Tensor, table: FrameTable, rows: PaddedRows) -> None:
        self.begin, self.end = begin, begin + len(order_N)
        self._order_N, self._table, self._rows = order_N, table, rows
        self._found_from = begin
        self._found = table.locate(order_N[:0])

    def batch(self, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """Frames ``[B]`` and windows ``[B, W]`` at places of the epoch; places outside the buffer are left out."""
        begin, end = max(begin, self.begin), min(end, self.end)
        if begin < self._found_from or end > self._found_from + len(self._found[0]):
            # For many batches at a time: the calls would cost more than the look-up.
            ahead = slice(begin - self.begin, max(begin + FOUND_FRAMES, end) - self.begin)
            self._found, self._found_from = self._table.locate(self._order_N[ahead]), begin
        own = slice(begin - self._found_from, max(end, begin) - self._found_from)
        frames_B, rows_B = self._found
        return frames_B[own], self._rows.windows(rows_B[own])


class ReadAhead:
    """The buffers of the present batch, and the next one, which a thread reads meanwhile: two, not more.

    Args:
        read: makes a buffer from its number.
        numbers: of the buffers, in the epoch's order.
        executor: of one thread.
    """

    def __init__(self, read: Callable[[int], FrameBuffer], numbers: Iterable[int], executor: Executor) -> None:
        self._read, self._executor = read, executor
        self._numbers = deque(numbers)
        self._present: deque[FrameBuffer] = deque()
        self._coming: deque[Future[FrameBuffer]] = deque()

    def batch(self, begin: int, end: int, *, needed_to: int) -> tuple[Tensor, Tensor]:
        """Frames ``[B]`` and windows ``[B, W]`` at places of the epoch, which may lie in several buffers.

        Args:
            needed_to: place from which the next batch begins; buffers that end there are let go.
        """
        while not self._present or self._present[-1].end < needed_to:
            self._begin_reading()
            self._present.append(self._coming.popleft().result())
        pieces = [buffer.batch(begin, end) for buffer in self._present]
        while self._present and self._present[0].end <= needed_to:
            self._present.popleft()
        if len(self._present) <= 1:
            self._begin_reading()
        if len(pieces) == 1:
            return pieces[0]
        return torch.cat([frames_B for frames_B, _ in pieces]), torch.cat([inputs_BW for _, inputs_BW in pieces])

    def _begin_reading(self) -> None:
        if not self._coming and self._numbers:
            self._coming.append(self._executor.submit(self._read, self._numbers.popleft()))


def random_order(num_frames: int, seed: int) -> Tensor:
    """The positions ``0..N-1`` shuffled, in the smallest type that holds them."""
    dtype = torch.int32 if num_frames < 2**31 else torch.int64
    return torch.randperm(num_frames, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def read_buffer(
    table: FrameTable, rows: PaddedRows, plan: EpochPlan, number: int, *, device: torch.device
) -> FrameBuffer:
    """Read a buffer's shards from where they lie.

    Args:
        table: of the whole set, on the CPU, with the rows of `rows`.
        number: which buffer of the plan.
    """
    own, read_RD = read_rows(table, rows, plan.shards[number], device=CPU, pin_memory=device.type == "cuda")
    order_N = random_order(len(own), plan.seeds[number])
    return FrameBuffer(
        plan.begins[number],
        order_N.to(device),
        own.to(device),
        PaddedRows([_beside_the_computation(read_RD, device)], rows.context),
    )


def read_rows(
    table: FrameTable,
    rows: PaddedRows,
    stretches: Sequence[tuple[int, int]],
    *,
    device: torch.device,
    pin_memory: bool = False,
) -> tuple[FrameTable, Tensor]:
    """Copy the rows of some frames, and of no others, to one place.

    Args:
        table: on the CPU, with the rows of `rows`.
        stretches: of positions ``(begin, end)``.
        device: where to.
        pin_memory: whether a GPU may copy them on by itself.

    Returns:
        The table of these frames alone, on the CPU, and their rows ``[R, D]``.
    """
    parts = [table.part(begin, end) for begin, end in stretches]
    lengths_S, frames_S, rows_S = (torch.cat(column) for column in zip(*parts, strict=True))
    stops_S = rows_S + lengths_S + rows.context - 1
    # Utterances that follow each other share a block, so most shards are one read.
    opens_S = torch.ones_like(rows_S, dtype=torch.bool)
    opens_S[1:] = (rows_S[1:] > stops_S[:-1]) | (rows_S[1:] < rows_S[:-1])
    begins_K, ends_K = rows_S[opens_S], stops_S[opens_S.roll(-1)]
    places_K = (ends_K - begins_K).cumsum(0) - (ends_K - begins_K)
    block_S = opens_S.cumsum(0) - 1
    read_RD = torch.empty((int((ends_K - begins_K).sum()), rows.dim), device=device, pin_memory=pin_memory)
    for begin, end, place in zip(begins_K.tolist(), ends_K.tolist(), places_K.tolist(), strict=True):
        rows.copy(begin, end, read_RD[place : place + end - begin])
    return FrameTable.of_runs(lengths_S, frames_S, rows_S - begins_K[block_S] + places_K[block_S]), read_RD


def _beside_the_computation(pinned_RD: Tensor, device: torch.device) -> Tensor:
    """Copy to a GPU on a stream of its own and wait; only the thread that reads waits."""
    if device.type != "cuda":
        return pinned_RD.to(device)
    # Memory of the main stream: what trains on it is in that stream, and so is what gets it next.
    moved_RD = torch.empty_like(pinned_RD, device=device)
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        moved_RD.copy_(pinned_RD, non_blocking=True)
    stream.synchronize()
    return moved_RD
