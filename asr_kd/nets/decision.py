"""The class that a network finds most likely.

Legend: B frames of a batch, P pdfs.
"""

import numpy as np
import torch
from torch import Tensor


def most_likely(logits_BP: Tensor) -> Tensor:
    """The pdf ``[B]`` int64 of the greatest logit, the first of several."""
    if logits_BP.device.type != "cpu":
        return logits_BP.argmax(dim=1)
    # NumPy's search is vectorised, ten times as fast as torch's.
    return torch.from_numpy(np.argmax(logits_BP.numpy(), axis=1))
