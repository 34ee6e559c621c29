"""The frames a network is trained on: one or several frame stores with labels, shuffled frame by frame.

Legend: N frames of all stores, B frames of a batch, W width of a window, M members, R rows, D features.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from asr_kd.errors import MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.train.frame_buffer import (
    EpochPlan,
    FrameBuffer,
    ReadAhead,
    plan_epoch,
    random_order,
    read_buffer,
    read_rows,
)
from asr_kd.train.frame_table import PaddedRows, table_of_stores

NO_LABEL = -1


@dataclass(frozen=True)
class Batch:
    """A minibatch: which frames of the set it holds, and their windows.

    Network and objective see windows that the loop may have changed (`asr_kd.train.loop.Transform`); labels and stored
    soft targets are those of the frames as they are.

    Attributes:
        weights_B: how much each frame counts in means over the batch, 0 or at least 1; None where all count the same.
    """

    frames_B: Tensor
    inputs_BW: Tensor
    weights_B: Tensor | None = None


class TrainingFrames(Protocol):
    """What the training loop asks of its frames."""

    device: torch.device
    labels_N: Tensor

    def num_batches(self, batch_size: int) -> int:
        """Steps of one epoch."""
        ...

    def epoch(self, *, seed: int, epoch: int, batch_size: int, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, in an order that depends on ``seed`` and ``epoch`` alone."""
        ...


class FrameSet:
    """Frames of one or several stores, gathered in random order where they lie (memory or GPU).

    Args:
        stores: frame stores with the same features.
        labels: a pdf id for each frame of each store (-1: none), or None where a store has none.
        use_unlabelled: whether frames without a label are trained on.
        selected: of each store the frames that may be trained on, ``[N]`` bool; None where all may.
        shuffle_frames: frames read from disk and shuffled at a time; None for all at once. With None a GPU holds the
            stores whole; with a number only the rows of so many frames, also where no more are trained on.
        beside: another set of the same stores, labels and `shuffle_frames`; on the device the two share what they can.

    Attributes:
        labels_N: pdf id of every frame, int32, on the device.
    """

    def __init__(
        self,
        stores: Sequence[FrameStore],
        labels: Sequence[np.ndarray | None],
        *,
        use_unlabelled: bool,
        selected: Sequence[np.ndarray | None] | None = None,
        device: torch.device,
        shuffle_frames: int | None = None,
        beside: "FrameSet | None" = None,
    ) -> None:
        check_same_features(stores)
        self.device = device
        self.labels_N: Tensor = _all_labels(stores, labels).to(device) if beside is None else beside.labels_N
        eligible = [
            _both(chosen, None if use_unlabelled else _labelled(given, store.num_frames))
            for store, given, chosen in zip(stores, labels, selected or [None] * len(stores), strict=True)
        ]
        self._table = table_of_stores(stores, eligible)
        self._num_frames = len(self._table)
        streams = shuffle_frames is not None and shuffle_frames < self._num_frames
        self._shuffle_frames = shuffle_frames if streams else None
        self._rows = PaddedRows([store.padded for store in stores], stores[0].left + 1 + stores[0].right)
        if device.type != "cpu" and not streams:
            if shuffle_frames is not None:
                self._table, own_RD = read_rows(self._table, self._rows, [(0, self._num_frames)], device=device)
                self._rows = PaddedRows([own_RD], self._rows.context)
            else:
                self._rows = self._rows.to(device) if beside is None else beside._rows
            self._table = self._table.to(device)

    def __len__(self) -> int:
        """Frames of one epoch."""
        return self._num_frames

    def num_batches(self, batch_size: int) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-len(self) // batch_size)

    def epoch(
        self, *, seed: int, epoch: int, batch_size: int, first_batch: int = 0, rank: int = 0, num_ranks: int = 1
    ) -> Iterator[Batch]:
        """The batches of one epoch, in an order that depends on ``seed`` and ``epoch`` alone.

        Args:
            batch_size: frames of a step, of all ranks together.
            first_batch: where to carry on in an epoch that was interrupted.
            rank, num_ranks: which part of each batch to give, of how many as even as it goes; of a batch with fewer
                frames than parts, some are empty.
        """
        num_frames = len(self)
        plan = plan_epoch(num_frames, self._shuffle_frames, seed=seed, epoch=epoch)
        with ThreadPoolExecutor(1) as pool:
            buffers = ReadAhead(partial(self._buffer, plan), plan.numbers_from(first_batch * batch_size), pool)
            for low in range(first_batch * batch_size, num_frames, batch_size):
                high = min(low + batch_size, num_frames)
                begin, end = (low + part * (high - low) // num_ranks for part in (rank, rank + 1))
                yield Batch(*buffers.batch(begin, end, needed_to=high))

    def _buffer(self, plan: EpochPlan, number: int) -> FrameBuffer:
        if self._shuffle_frames is not None:
            return read_buffer(self._table, self._rows, plan, number, device=self.device)
        return self.in_order(random_order(len(self), plan.seeds[number]))

    def in_order(self, order_N: Tensor) -> FrameBuffer:
        """Frames by their positions in the set, in an order that is given; only where all are in memory at once."""
        assert self._shuffle_frames is None
        return FrameBuffer(0, order_N.to(self.device), self._table, self._rows)


class GroupFrames:
    """The frames of several members that are trained together: a batch holds one of each, one after the other.

    Each member hears the frames in the order in which it would hear them alone.

    Args:
        frames: all in memory at once.
        seeds: of the members.
    """

    def __init__(self, frames: FrameSet, seeds: Sequence[int]) -> None:
        self._frames, self._seeds = frames, seeds
        self.device, self.labels_N = frames.device, frames.labels_N
        self._thread = ThreadPoolExecutor(1)
        self._coming: dict[tuple[int, int], Future[Tensor]] = {}

    def num_batches(self, batch_size: int) -> int:
        """Steps of one epoch."""
        return self._frames.num_batches(batch_size)

    def epoch(self, *, seed: int, epoch: int, batch_size: int, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, in orders that depend on the members' seeds and ``epoch`` alone, not on ``seed``.

        Args:
            batch_size: frames of each member.
        """
        buffer = self._frames.in_order(self._order(epoch, batch_size))
        together = batch_size * len(self._seeds)
        for begin in range(first_batch * together, buffer.end, together):
            yield Batch(*buffer.batch(begin, min(begin + together, buffer.end)))

    def _order(self, epoch: int, batch_size: int) -> Tensor:
        """The order of an epoch; a thread draws the next one's while this one trains, for a GPU would wait for it."""
        present, following = (epoch, batch_size), (epoch + 1, batch_size)
        order = self._coming.pop(present, None) or self._thread.submit(self._drawn, *present)
        self._coming = {following: self._thread.submit(self._drawn, *following)}
        return order.result()

    def _drawn(self, epoch: int, batch_size: int) -> Tensor:
        """The positions of an epoch's frames ``[M * N]``, one batch of each member after the other."""
        num_frames = len(self._frames)
        plans = [plan_epoch(num_frames, None, seed=own, epoch=epoch) for own in self._seeds]
        orders = [random_order(num_frames, plan.seeds[0]) for plan in plans]
        whole = num_frames // batch_size * batch_size
        batches = torch.stack([order_N[:whole].view(-1, batch_size) for order_N in orders], dim=1)
        return torch.cat([batches.flatten(), *(order_N[whole:] for order_N in orders)])


def _labelled(labels_N: np.ndarray | None, num_frames: int) -> np.ndarray | None:
    """Which frames have a label ``[N]``, or None where all have."""
    if labels_N is None:
        return np.zeros(num_frames, dtype=bool)
    found_N = labels_N >= 0
    return None if found_N.all() else found_N


def _both(some_N: np.ndarray | None, others_N: np.ndarray | None) -> np.ndarray | None:
    """Frames of two masks ``[N]``, of which None is all."""
    if some_N is None or others_N is None:
        return others_N if some_N is None else some_N
    return some_N & others_N


def _all_labels(stores: Sequence[FrameStore], labels: Sequence[np.ndarray | None]) -> Tensor:
    """Labels ``[N]`` int32 of all stores; those of a single store are not copied."""
    if len(labels) == 1 and labels[0] is not None and labels[0].dtype == np.int32:
        return torch.from_numpy(labels[0])
    labels_N = np.full(sum(store.num_frames for store in stores), NO_LABEL, np.int32)
    first = 0
    for store, given in zip(stores, labels, strict=True):
        if given is not None:
            labels_N[first : first + store.num_frames] = given
        first += store.num_frames
    return torch.from_numpy(labels_N)


def check_same_features(stores: Sequence[FrameStore]) -> None:
    """Check that frame stores can feed one network.

    Raises:
        MismatchError: their features were made with different options.
    """
    for store in stores:
        if store.features_fingerprint != stores[0].features_fingerprint:
            raise MismatchError(
                f"{store.path} holds features {store.features_fingerprint}, {stores[0].path} features "
                f"{stores[0].features_fingerprint}: make both with the same options of asr-kd make-fbank"
            )


def store_names(stores: Sequence[FrameStore]) -> tuple[str, ...]:
    """The stores' paths as text, for a model's card."""
    return tuple(str(Path(store.path)) for store in stores)
