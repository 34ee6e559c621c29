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


def mean_logits(logits_MBP: Tensor) -> Tensor:
    """Mean of the members' logits ``[B, P]``, zero-mean for each frame (Hinton et al. 2015, section 2.1).

    Divided by any T its softmax is the geometric mean of the members' distributions at T: what normalises each
    member's distribution is the same for all classes of a frame, so it drops out.
    """
    logits_BP = logits_MBP.float().mean(dim=0)
    return logits_BP - logits_BP.mean(dim=1, keepdim=True)


@torch.inference_mode()
def ensemble_targets(members: Sequence[AcousticModel], x_BW: Tensor, *, temperature: float, mean: str) -> Tensor:
    """Soft targets ``[B, P]`` of windows ``[B, W]``."""
    return mean_distribution(stacked_logits(members, x_BW), temperature=temperature, mean=mean)


@torch.inference_mode()
def stacked_logits(members: Sequence[AcousticModel], x_BW: Tensor) -> Tensor:
    """The members' logits ``[M, B, P]`` of windows ``[B, W]``."""
    return torch.stack([member.logits(x_BW) for member in members])
