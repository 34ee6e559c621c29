"""Frame accuracy and cross-entropy of a network on labelled frames.

Legend: N frames of a store, B frames of a batch, P pdfs.
"""

import numpy as np
import torch
from torch import Tensor, nn

from asr_kd.frames.store import FrameStore

EVAL_FRAMES = 4096


class DevSet:
    """Labelled frames that a network is watched on, on its device."""

    def __init__(self, store: FrameStore, labels_N: np.ndarray, *, device: torch.device) -> None:
        self._store = store
        self._labels_N = torch.from_numpy(labels_N.astype(np.int64))
        self._device = device

    @torch.inference_mode()
    def evaluate(self, net: nn.Module) -> tuple[float, float]:
        """Frame accuracy (0..1) and mean cross-entropy (nats) over the labelled frames."""
        net.eval()
        correct = torch.zeros((), dtype=torch.float64, device=self._device)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        count = int((self._labels_N >= 0).sum())
        for begin in range(0, self._store.num_frames, EVAL_FRAMES):
            frames = slice(begin, min(begin + EVAL_FRAMES, self._store.num_frames))
            labels_B = self._labels_N[frames].to(self._device)
            logits_BP: Tensor = net(self._store.windows(frames).to(self._device)).float()
            correct += (logits_BP.argmax(dim=1) == labels_B).sum()
            total += torch.nn.functional.cross_entropy(logits_BP, labels_B, ignore_index=-1, reduction="sum")
        net.train()
        return float(correct) / max(count, 1), float(total) / max(count, 1)
