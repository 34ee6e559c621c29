"""Frame accuracy and cross-entropy of a network on labelled frames.

Legend: N frames of a store, B frames of a batch, P pdfs.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from asr_kd.frames.store import FrameStore
from asr_kd.nets.decision import most_likely
from asr_kd.nets.device import autocast
from asr_kd.train.frame_buffer import read_rows
from asr_kd.train.frame_table import PaddedRows, table_of_stores

EVAL_FRAMES = 1024
MAX_FRAMES = 65536
HOST = "cpu"


class DevSet:
    """Labelled frames that a network is watched on, on its device.

    Of more than `MAX_FRAMES` labelled frames, about so many are taken, the same every time: stretches of
    `EVAL_FRAMES` evenly spread over them. Watching all of a large dev set would take a quarter of the training.

    A GPU holds their rows, and gathers their windows at each look. On the CPU the store stays memory-mapped.

    Args:
        labels_N: pdf ids, -1 where a frame has none: such frames are left out.
        dtype: precision of products, as in `asr_kd.nets.device.DeviceOptions`.
    """

    def __init__(self, store: FrameStore, labels_N: np.ndarray, *, device: torch.device, dtype: str = "fp32") -> None:
        labelled_N = labels_N >= 0
        table = table_of_stores([store], [None if labelled_N.all() else labelled_N])
        every = max(1, round(len(table) / MAX_FRAMES))
        stretches = [
            (begin, min(begin + EVAL_FRAMES, len(table))) for begin in range(0, len(table), every * EVAL_FRAMES)
        ]
        positions: Sequence[Tensor] = [torch.arange(*stretch) for stretch in stretches]
        self._rows = PaddedRows([store.padded], store.left + 1 + store.right)
        if device.type != HOST and stretches:
            table, own_RD = read_rows(table, self._rows, stretches, device=device)
            self._rows = PaddedRows([own_RD], self._rows.context)
            positions = torch.arange(len(table)).split(EVAL_FRAMES)
        located = [table.locate(positions_B) for positions_B in positions]
        self._first_rows = [rows_B.to(device) for _, rows_B in located]
        self._labels = [
            torch.from_numpy(labels_N[frames_B.numpy()].astype(np.int64)).to(device) for frames_B, _ in located
        ]
        self._count = max(1, sum(map(len, self._labels)))
        self._device, self._dtype = device, dtype

    @torch.inference_mode()
    def evaluate(self, net: nn.Module) -> tuple[float, float]:
        """Frame accuracy (0..1) and mean cross-entropy (nats) over the labelled frames that are watched."""
        net.eval()
        correct = torch.zeros((), dtype=torch.float64, device=self._device)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for rows_B, labels_B in zip(self._first_rows, self._labels, strict=True):
            with autocast(self._device, self._dtype):
                logits_BP: Tensor = net(self._rows.windows(rows_B))
            logits_BP = logits_BP.float()
            correct += (most_likely(logits_BP) == labels_B).sum()
            total += torch.nn.functional.cross_entropy(logits_BP, labels_B, reduction="sum")
        net.train()
        return float(correct) / self._count, float(total) / self._count
