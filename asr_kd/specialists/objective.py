"""What a specialist is trained for, freed from its biased sampling.

A specialist sees each frame of its subset r times as often as any other frame. Let s be whether the label lies in the
subset. In the batches, ``P'(y | x)`` is in proportion to ``P(y | x) r^s``: a network with logits z of the true
distribution has there the logits ``z + s log r``. Hinton, Vinyals & Dean 2015 (section 5.2) train on the batches as
they are and add ``log r`` to the dustbin's logit afterwards, which is the same up to a constant of all logits. Here
the ``log r`` stands in the loss from the start, so the weights mean the true distribution all the while: the start
from the generalist is one, and so is what is watched on dev and what is saved.

Legend: N frames of the training set, B frames of a batch, P pdfs, C classes of a specialist.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.train.frame_set import Batch


class DustbinTargets:
    """Cross-entropy with the classes of a specialist, the last of which is the dustbin.

    Args:
        classes_N: class of each frame.
        oversampling: r, how much more often a frame of the subset comes than another.
    """

    def __init__(self, classes_N: Tensor, *, oversampling: float) -> None:
        self._classes_N = classes_N
        self._log_ratio = math.log(oversampling)

    def losses(self, logits_BC: Tensor, batch: Batch) -> dict[str, Tensor]:
        """``mean(-log softmax(logits + s log r)[class])`` in nats."""
        shift_C = torch.full(logits_BC.shape[1:], self._log_ratio, device=logits_BC.device)
        shift_C[-1] = 0.0
        return {"hard": functional.cross_entropy(logits_BC + shift_C, self._classes_N[batch.frames_B].long())}


class RegularizedTargets:
    """Labels for the frames of the subset, the generalist's soft targets for all others (section 6.1 of the paper).

    The network keeps an output for every state. A frame whose label y is in the subset is trained on y. Of another
    frame the label says only that it is outside; which state outside is the generalist's to say, as
    ``p(j | outside) = p_j / sum_{k outside} p_k``. Its loss, the cross-entropy with that, is
    ``-log q(outside) - sum_j p(j | outside) log q(j | outside)``: the dustbin's loss, and beside it distillation that
    keeps what the generalist knows of states the specialist is not for. Temperature 1: at any other the sum over the
    states outside would not be the dustbin's probability.

    Batches are those of `asr_kd.specialists.paired_frames.PairedFrames`, whose first half lies in the subset: to find
    it by the labels would be to wait for a GPU several times a step.

    Args:
        generalist: the teacher.
        labels_N: pdf ids.
        inside_P: states of the subset.
        oversampling: r.
    """

    def __init__(self, generalist: AcousticModel, labels_N: Tensor, inside_P: Tensor, *, oversampling: float) -> None:
        self._generalist = generalist
        self._labels_N = labels_N
        self._inside_P = inside_P
        self._shift_P = inside_P.float() * math.log(oversampling)

    def losses(self, logits_BP: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The terms ``hard`` (frames of the subset) and ``soft`` (all others), each over the size of the batch."""
        size, half = len(batch.frames_B), len(batch.frames_B) // 2
        inside_BP, outside_BP = functional.log_softmax(logits_BP + self._shift_P, dim=1).split(half)
        given_BP = self._generalist.logits(batch.inputs_BW[half:]).masked_fill(self._inside_P, -math.inf)
        soft = -(torch.softmax(given_BP, dim=1).clone() * outside_BP).sum()
        hard = functional.nll_loss(inside_BP, self._labels_N[batch.frames_B[:half]].long(), reduction="sum")
        return {"hard": hard / size, "soft": soft / size}
