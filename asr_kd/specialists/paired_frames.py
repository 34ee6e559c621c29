"""Training frames of a specialist: half of every batch from its subset, half at random from all others.

Legend: B frames of a batch, W width of a window.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from asr_kd.train.frame_set import Batch, FrameSet

SEEDS_APART = 500_009


class PairedFrames:
    """Two sets of frames over the same stores, of which every batch holds equally many.

    An epoch goes once over the smaller set, and over as many frames of the larger one, other ones in every epoch. So
    each frame inside comes ``oversampling`` times as often as each frame outside. These are `TrainingFrames` for
    the loop.

    Args:
        inside: frames whose label lies in the subset.
        outside: the other labelled frames of the same stores, with the same `labels_N`.
    """

    def __init__(self, inside: FrameSet, outside: FrameSet) -> None:
        self._inside, self._outside = inside, outside
        self.device = inside.device
        self.labels_N: Tensor = inside.labels_N

    @property
    def oversampling(self) -> float:
        """How much more often a frame inside comes than one outside."""
        return len(self._outside) / len(self._inside)

    def __len__(self) -> int:
        """Frames of one epoch."""
        return 2 * min(len(self._inside), len(self._outside))

    def num_batches(self, batch_size: int) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-(len(self) // 2) // max(1, batch_size // 2))

    def epoch(self, *, seed: int, epoch: int, batch_size: int, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, in an order that depends on ``seed`` and ``epoch`` alone.

        Args:
            batch_size: frames of a step, of which half are inside.
            first_batch: where to carry on in an epoch that was interrupted.
        """
        half = max(1, batch_size // 2)
        inside = self._inside.epoch(seed=seed, epoch=epoch, batch_size=half, first_batch=first_batch)
        # Another seed: two sets of one length would otherwise come in one order.
        outside = self._outside.epoch(seed=seed + SEEDS_APART, epoch=epoch, batch_size=half, first_batch=first_batch)
        for special, other in zip(inside, outside, strict=False):
            size = min(len(special.frames_B), len(other.frames_B))
            yield Batch(
                torch.cat([special.frames_B[:size], other.frames_B[:size]]),
                torch.cat([special.inputs_BW[:size], other.inputs_BW[:size]]),
            )
