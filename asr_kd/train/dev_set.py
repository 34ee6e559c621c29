"""Frame accuracy and cross-entropy of a network on labelled frames.

Legend: N frames of a store, B frames of a batch, P pdfs.
"""

import numpy as np
import torch
from torch import Tensor, nn

from asr_kd.frames.store import FrameStore
from asr_kd.nets.device import autocast

EVAL_FRAMES = 1024
MAX_FRAMES = 65536


class DevSet:
    """Labelled frames that a network is watched on, on its device.

    Of a store with more than `MAX_FRAMES` frames, about so many are taken, the same every time: stretches of
    `EVAL_FRAMES` evenly spread over it. Watching all of a large dev set would take a quarter of the training.

    Args:
        dtype: precision of products, as in `asr_kd.nets.device.DeviceOptions`.
    """

    def __init__(self, store: FrameStore, labels_N: np.ndarray, *, device: torch.device, dtype: str = "fp32") -> None:
        self._store = store
        every = max(1, round(store.num_frames / MAX_FRAMES))
        begins = range(0, store.num_frames, every * EVAL_FRAMES)
        self._stretches = [slice(begin, min(begin + EVAL_FRAMES, store.num_frames)) for begin in begins]
        self._labels = [torch.from_numpy(labels_N[frames].astype(np.int64)).to(device) for frames in self._stretches]
        self._count = max(1, sum(int((labels_B >= 0).sum()) for labels_B in self._labels))
        self._device, self._dtype = device, dtype

    @torch.inference_mode()
    def evaluate(self, net: nn.Module) -> tuple[float, float]:
        """Frame accuracy (0..1) and mean cross-entropy (nats) over the labelled frames that are watched."""
        net.eval()
        correct = torch.zeros((), dtype=torch.float64, device=self._device)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for frames, labels_B in zip(self._stretches, self._labels, strict=True):
            with autocast(self._device, self._dtype):
                logits_BP: Tensor = net(self._store.windows(frames).to(self._device))
            logits_BP = logits_BP.float()
            correct += (logits_BP.argmax(dim=1) == labels_B).sum()
            total += torch.nn.functional.cross_entropy(logits_BP, labels_B, ignore_index=-1, reduction="sum")
        net.train()
        return float(correct) / self._count, float(total) / self._count
