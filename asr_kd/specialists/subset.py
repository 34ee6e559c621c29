"""A specialist's classes: the states of its subset, in ascending order, and one dustbin for all others.

Legend: N frames, B frames of a batch, P pdfs of the generalist, S states of the subset, C = S + 1 classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr_kd.stage import digest


@dataclass(frozen=True)
class Subset:
    """The states that a specialist tells apart.

    Attributes:
        pdfs: their ids, ascending, some but not all of `num_pdfs`.
        num_pdfs: states of the generalist.
    """

    pdfs: tuple[int, ...]
    num_pdfs: int

    @property
    def dustbin(self) -> int:
        """Class of all other states."""
        return len(self.pdfs)

    def mask(self) -> np.ndarray:
        """Which states are in the subset ``[P]``."""
        inside_P = np.zeros(self.num_pdfs, dtype=bool)
        inside_P[list(self.pdfs)] = True
        return inside_P

    def classes(self, pdfs_N: np.ndarray) -> np.ndarray:
        """The class of each label ``[N]`` int32; -1 stays -1."""
        class_of_P = np.full(self.num_pdfs, self.dustbin, dtype=np.int32)
        class_of_P[list(self.pdfs)] = np.arange(len(self.pdfs), dtype=np.int32)
        return np.where(pdfs_N < 0, np.int32(-1), class_of_P[pdfs_N])

    def collapse(self, logp_BP: Tensor) -> Tensor:
        """Log probabilities ``[B, C]`` of the classes, from those of all states: the dustbin's are summed."""
        inside_P = torch.from_numpy(self.mask()).to(logp_BP.device)
        dustbin_B1 = torch.logsumexp(logp_BP[:, ~inside_P], dim=1, keepdim=True)
        return torch.cat([logp_BP[:, inside_P], dustbin_B1], dim=1)

    def fingerprint(self, states_fingerprint: str, *, kind: str) -> str:
        """Identifies a specialist's outputs: those of another subset, or a full model's, are never taken for them."""
        return digest({"states": states_fingerprint, "subset": list(self.pdfs), "kind": kind})
