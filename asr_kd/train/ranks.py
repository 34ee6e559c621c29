"""Processes that train one network together, each on its part of every batch.

`torchrun` starts them, on one machine or several, and gives each its rank; a process that it did not start is alone.
Every rank has the whole network. It computes the gradient of its part of a batch; the mean over the frames of all parts
then moves the weights on each rank in the same way. So the run is that of one process, but for rounding, for random
draws and for means over some of a batch's frames (`docs/architecture.md`, Determinism), and another number of ranks can
carry it on.

Legend: G weights and biases.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed

from asr_kd.errors import DataError, RankLostError, UsageError
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.stage import Stage
from asr_kd.train.frame_set import Batch, FrameSet

Found = TypeVar("Found")


@dataclass(frozen=True)
class Ranks:
    """The processes of one training run, seen from one of them.

    Attributes:
        rank: this one's number, from 0. Rank 0 alone writes.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def where(self, device: torch.device) -> str:
        """What trains, in words."""
        return str(device) if self.size == 1 else f"{self.size} ranks on {device.type}"

    def own_device(self, options: DeviceOptions) -> DeviceOptions:
        """Where this rank computes: each takes a GPU of its machine for itself.

        Raises:
            UsageError: all are to share one GPU.
        """
        if self.size == 1 or not options.device.startswith("cuda"):
            return options
        if options.device != "cuda":
            raise UsageError(f"--device {options.device}: several ranks take a GPU each, give --device cuda")
        local, there = os.environ.get("LOCAL_RANK"), torch.cuda.device_count()
        if local is None:
            raise UsageError("LOCAL_RANK is not set: it says which GPU of its machine a rank takes; torchrun sets it")
        if int(local) >= there:
            raise UsageError(f"--device cuda: torch sees {there} GPUs here; start as many ranks on this machine")
        return replace(options, device=f"cuda:{local}")

    @contextmanager
    def resuming(self, stage: Stage) -> Iterator[Path]:
        """As `Stage.resuming`. Rank 0 makes the directory; the others, who see the same disk, only read there."""
        if not self.first:
            self._wait()
            yield stage.partial
            self._wait()
            return
        with stage.resuming() as partial:
            self._wait()  # what an interrupted run left is there, and nothing else
            yield partial
            self._wait()  # nobody reads there any more

    def told_by_first(self, find: Callable[[], Found]) -> Found:
        """What rank 0 finds, on every rank."""
        if self.size == 1:
            return find()
        told = [find() if self.first else None]
        with _together():
            distributed.broadcast_object_list(told, src=0)
        return told[0]  # type: ignore[return-value]

    def check_same(self, what: str, found: object) -> None:
        """Check that what this rank found is what the others did.

        Raises:
            DataError: it is not.
        """
        if self.size == 1:
            return
        all_found: list[object] = [None] * self.size
        with _together():
            distributed.all_gather_object(all_found, found)
        if any(one != found for one in all_found):
            listed = ", ".join(map(str, all_found))
            raise DataError(f"{what} differs from rank to rank ({listed}): all must see the same disk; start again")

    def combine(self, weights: Sequence[Tensor], sums: dict[str, Tensor]) -> dict[str, Tensor]:
        """Make the gradients those of the mean over the frames of all ranks; returns the sums over all ranks.

        Args:
            weights: each with the gradient of a mean over this rank's frames, which is changed in place.
            sums: of this rank's frames, their number by the name ``frames``.
        """
        if self.size == 1:
            return sums
        names = sorted(sums)  # whatever order a rank has them in
        totals = torch.stack([sums[name] for name in names])
        flat_G = torch.cat([weight.grad.flatten() for weight in weights]).mul_(sums["frames"])  # type: ignore[union-attr]
        with _together():
            distributed.all_reduce(totals)
            distributed.all_reduce(flat_G)
        combined = dict(zip(names, totals.unbind(), strict=True))
        flat_G /= combined["frames"]
        for weight, mean in zip(weights, flat_G.split([weight.numel() for weight in weights]), strict=True):
            weight.grad = mean.view_as(weight)
        return combined

    def _wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            with _together():
                distributed.all_reduce(torch.zeros(1))


ALONE = Ranks()


class PartOfFrames:
    """The part of every batch that one rank trains on.

    Args:
        frames: of all ranks.

    Raises:
        UsageError: a batch has fewer frames than there are ranks.
    """

    def __init__(self, frames: FrameSet, ranks: Ranks, batch_size: int) -> None:
        if min(batch_size, len(frames)) < ranks.size:
            raise UsageError(f"{ranks.size} ranks for batches of {min(batch_size, len(frames))} frames: start fewer")
        self._frames, self._ranks = frames, ranks
        self.device, self.labels_N = frames.device, frames.labels_N

    def num_batches(self, batch_size: int) -> int:
        """Steps of one epoch."""
        return self._frames.num_batches(batch_size)

    def epoch(self, *, seed: int, epoch: int, batch_size: int, first_batch: int = 0) -> Iterator[Batch]:
        """This rank's part of the batches of one epoch; it may be empty in the last one."""
        return self._frames.epoch(
            seed=seed,
            epoch=epoch,
            batch_size=batch_size,
            first_batch=first_batch,
            rank=self._ranks.rank,
            num_ranks=self._ranks.size,
        )


@contextmanager
def joined(options: DeviceOptions) -> Iterator[Ranks]:
    """The ranks that torchrun started this process among, or this process alone. Only the first one logs.

    Raises:
        RankLostError: another one cannot be reached.
        UsageError: the device is not there.
    """
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if _started_by_torchrun() else ALONE
    if ranks.size == 1:
        yield ranks
        return
    log, level = logging.getLogger("asr_kd"), logging.getLogger("asr_kd").level
    if not ranks.first:
        log.setLevel(logging.ERROR)
    try:
        device = prepare(ranks.own_device(options))
        with _together():
            distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        yield ranks
        # Not after an error: it waits for what a rank that has ended will never do.
        distributed.destroy_process_group()
    finally:
        log.setLevel(level)


def _started_by_torchrun() -> bool:
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))


@contextmanager
def _together() -> Iterator[None]:
    """What all ranks do at the same time; one that is missing becomes a clear line."""
    try:
        yield
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = "; ".join(dict.fromkeys([lines[0], lines[-1]])) if lines else type(error).__name__
        raise RankLostError(
            f"the ranks cannot go on together ({reason}); see what the others said, then run the same command again"
        ) from error
