"""How many frames are shuffled at a time: all, or as many as memory holds. Decided once for a run, and recorded."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.free_memory import free_bytes
from asr_kd.options import option
from asr_kd.stage import write_json

log = logging.getLogger(__name__)

SHUFFLE_FILE = "shuffle.json"
BYTES_BESIDE_FEATURES = 8  # a frame's label and its place in the epoch's order, int32 each
BUFFERS = 2  # the one trained on and the next
MOST_FRAMES = 2**22


@dataclass(frozen=True, kw_only=True)
class ShuffleOptions:
    """How much of the training data is in memory at a time."""

    shuffle_frames: int | None = option(
        "frames read and shuffled at a time (default: all, where they fit in half of the free memory)", default=None
    )

    def __post_init__(self) -> None:
        if self.shuffle_frames is not None and self.shuffle_frames < 1:
            raise UsageError("--shuffle-frames must be at least 1")


def decided_shuffle(
    options: ShuffleOptions,
    stores: Sequence[FrameStore],
    directory: Path,
    *,
    device: torch.device,
    begun: bool,
    num_sets: int = 1,
) -> int | None:
    """Frames to shuffle at a time, None for all at once; a run that was begun goes on as it began.

    The order of frames depends on it, so free memory is asked only when a run begins. `SHUFFLE_FILE` in the run's
    directory says what was decided, unless it was all at once. Whole stores count, however few of their frames are
    trained on.

    Args:
        directory: of the run.
        begun: whether the run left a checkpoint there.
        num_sets: sets of frames that are read side by side, as many frames of each.
    """
    path = directory / SHUFFLE_FILE
    if options.shuffle_frames is not None:
        return options.shuffle_frames
    if path.exists():
        return int(json.loads(path.read_text(encoding="utf-8"))["shuffle_frames"])
    if begun:
        return None
    found = frames_that_fit(stores, free_bytes(device) // 2, num_sets=num_sets)
    if found is not None:
        log.info("not all frames fit in half of the free memory: %d are read and shuffled at a time", found)
        write_json(path, {"shuffle_frames": found})
    return found


def frames_that_fit(stores: Sequence[FrameStore], num_bytes: int, *, num_sets: int = 1) -> int | None:
    """None where all frames fit in memory; else frames of a buffer of which each set has two, a power of two."""
    num_frames = sum(store.num_frames for store in stores)
    features = sum(store.padded.nbytes for store in stores)
    if features + num_frames * BYTES_BESIDE_FEATURES <= num_bytes:
        return None
    fitting = num_bytes * num_frames // (BUFFERS * num_sets * (features + num_frames * BYTES_BESIDE_FEATURES))
    return min(MOST_FRAMES, 1 << max(fitting.bit_length() - 1, 0))
