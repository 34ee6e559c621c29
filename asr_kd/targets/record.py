"""One frame's soft target in few bytes: the k largest probabilities and a sample of the rest.

The tail is sampled in proportion to its probabilities, each draw standing for an equal share of the tail's
mass, so that the expected gradient equals that of the whole distribution. A record is::

    top_probs float16[k] | tail_mass float16 | top_ids uint16[k] | tail_ids uint16[s]

(ids uint32 where there are more than 65,536 classes). k = 8, s = 16 is 66 bytes.

Legend: B frames of a batch, P classes, K = k + s.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr_kd.errors import UsageError

SMALLEST_ID_SPACE = 65536


@dataclass(frozen=True)
class RecordLayout:
    """How a frame's soft target is laid out.

    Args:
        num_pdfs: P, the number of classes.
        top: k, how many of the largest probabilities are kept.
        tail: s, how many classes are drawn from the rest.
    """

    num_pdfs: int
    top: int
    tail: int

    def __post_init__(self) -> None:
        if not 1 <= self.top <= self.num_pdfs:
            raise UsageError(f"--top-k must lie in 1..{self.num_pdfs} (the number of pdfs), got {self.top}")
        if self.tail < 1 and self.top < self.num_pdfs:
            raise UsageError("--tail-samples must be at least 1: a dropped tail biases the student")

    @property
    def id_type(self) -> np.dtype:
        """Type of a class id."""
        return np.dtype(np.uint16 if self.num_pdfs <= SMALLEST_ID_SPACE else np.uint32)

    @property
    def num_bytes(self) -> int:
        """Size of a record."""
        return 2 * (self.top + 1) + self.id_type.itemsize * (self.top + self.tail)

    def pack(self, probs_BP: Tensor, generator: torch.Generator) -> np.ndarray:
        """Records ``[B, num_bytes]`` uint8 of distributions ``[B, P]``."""
        probs_BP = probs_BP.float().cpu()
        top_BK, ids_BK = probs_BP.topk(self.top, dim=1)
        tail_mass_B = (1 - top_BK.sum(dim=1)).clamp_(min=0)
        rest_BP = probs_BP.scatter(1, ids_BK, 0.0)
        if self.tail and self.top < self.num_pdfs:
            # A frame whose tail has no mass draws anything but its top: the draws then weigh nothing.
            rest_BP += torch.finfo(torch.float32).tiny
            rest_BP.scatter_(1, ids_BK, 0.0)
            draws_BS = torch.multinomial(rest_BP, self.tail, replacement=True, generator=generator)
        else:
            draws_BS = torch.zeros(len(probs_BP), self.tail, dtype=torch.int64)
        halves = torch.cat([top_BK, tail_mass_B[:, None]], dim=1).half().numpy()
        ids = torch.cat([ids_BK, draws_BS], dim=1).numpy().astype(self.id_type)
        return np.concatenate([_bytes(halves), _bytes(ids)], axis=1)

    def unpack(self, records_BR: Tensor) -> tuple[Tensor, Tensor]:
        """Class ids ``[B, K]`` int64 and probabilities ``[B, K]`` float32 that sum to one.

        A class may be drawn more than once; its probabilities add up.

        Args:
            records_BR: uint8, on any device.
        """
        split = 2 * (self.top + 1)
        halves = records_BR[:, :split].contiguous().view(torch.float16).float()
        wide = self.id_type.itemsize == 4
        # A copy even of a single record, which counts as contiguous where its ids start at an odd place.
        ids_BR = records_BR[:, split:].clone(memory_format=torch.contiguous_format)
        raw = ids_BR.view(torch.int32 if wide else torch.int16)
        ids_BK = raw.long() if wide else raw.long() & 0xFFFF
        top_BK, tail_B1 = halves[:, : self.top], halves[:, self.top :]
        shares_BS = (tail_B1 / max(self.tail, 1)).expand(-1, self.tail)
        probs_BK = torch.cat([top_BK, shares_BS], dim=1)
        return ids_BK, probs_BK / probs_BK.sum(dim=1, keepdim=True)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
