"""The frames a network is trained on: one or several frame stores with labels, shuffled frame by frame.

Legend: N frames of all stores, B frames of a batch, W width of a window.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr_kd.errors import MismatchError
from asr_kd.frames.store import FrameStore, gather_windows

NO_LABEL = -1


@dataclass(frozen=True)
class Batch:
    """A minibatch: which frames of the set it holds, and their windows."""

    frames_B: Tensor
    inputs_BW: Tensor


class FrameSet:
    """Frames of one or several stores, gathered in random order where they lie (memory or GPU).

    Args:
        stores: frame stores with the same features.
        labels: a pdf id for each frame of each store (-1: none), or None where a store has none.
        use_unlabelled: whether frames without a label are trained on.
    """

    def __init__(
        self,
        stores: Sequence[FrameStore],
        labels: Sequence[np.ndarray | None],
        *,
        use_unlabelled: bool,
        device: torch.device,
    ) -> None:
        check_same_features(stores)
        self.context = stores[0].left + 1 + stores[0].right
        self.device = device
        offsets = np.concatenate([[0], np.cumsum([len(store.padded) for store in stores])])
        rows = [store.window_rows + offset for store, offset in zip(stores, offsets, strict=False)]
        self._rows_N = torch.from_numpy(np.concatenate(rows)).to(device)
        # One store stays memory-mapped: processes that train side by side share its pages.
        padded = stores[0].padded if len(stores) == 1 else torch.cat([store.padded for store in stores])
        self._padded = padded.to(device)
        filled = [
            np.full(store.num_frames, NO_LABEL, np.int32) if given is None else given
            for store, given in zip(stores, labels, strict=True)
        ]
        self.labels_N = torch.from_numpy(np.concatenate(filled).astype(np.int64)).to(device)
        self._eligible = (
            torch.arange(len(self.labels_N)) if use_unlabelled else torch.nonzero(self.labels_N.cpu() >= 0).squeeze(1)
        )

    def __len__(self) -> int:
        """Frames of one epoch."""
        return len(self._eligible)

    def num_batches(self, batch_size: int) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-len(self) // batch_size)

    def epoch(self, *, seed: int, epoch: int, batch_size: int, first_batch: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, in an order that depends on ``seed`` and ``epoch`` alone.

        Args:
            first_batch: where to carry on in an epoch that was interrupted.
        """
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order = self._eligible[torch.randperm(len(self), generator=generator)].to(self.device)
        for begin in range(first_batch * batch_size, len(self), batch_size):
            frames_B = order[begin : begin + batch_size]
            yield Batch(frames_B, self.windows(frames_B))

    def windows(self, frames_B: Tensor) -> Tensor:
        """The windows ``[B, W]`` of frames."""
        return gather_windows(self._padded, self._rows_N[frames_B], self.context)


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
