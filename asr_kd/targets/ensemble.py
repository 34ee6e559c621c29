"""The soft target of an ensemble: the mean of its members' distributions at a temperature.

Legend: M members, B frames of a batch, P pdfs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from asr_kd.nets.acoustic_model import AcousticModel

MEANS = ("arithmetic", "geometric")


def mean_distribution(logits_MBP: Tensor, *, temperature: float, mean: str) -> Tensor:
    """Soft targets ``[B, P]`` of an ensemble (Hinton, Vinyals & Dean 2015, section 1).

    The arithmetic mean is `mean_m softmax(v_m / T)`, the geometric one `softmax(mean_m log_softmax(v_m / T))`.

    Args:
        logits_MBP: the members' logits v.
        temperature: T.
        mean: ``arithmetic`` or ``geometric``.
    """
    scaled = logits_MBP.float() / temperature
    if mean == "arithmetic":
        return torch.softmax(scaled, dim=2).mean(dim=0)
    return torch.softmax(torch.log_softmax(scaled, dim=2).mean(dim=0), dim=1)


@torch.inference_mode()
def ensemble_targets(members: Sequence[AcousticModel], x_BW: Tensor, *, temperature: float, mean: str) -> Tensor:
    """Soft targets ``[B, P]`` of windows ``[B, W]``."""
    logits_MBP = torch.stack([member.logits(x_BW) for member in members])
    return mean_distribution(logits_MBP, temperature=temperature, mean=mean)
