"""Correct a student's biases for classes that its transfer set lacked, or had alone.

Hinton, Vinyals & Dean 2015, section 3. Legend: N frames, P pdfs, K = N + 1 places between the frames' borders.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr_kd.nets.acoustic_model import AcousticModel


class Rivals(NamedTuple):
    """Of each frame the largest logit among some pdfs and which of them has it, and the same of all other pdfs."""

    inner_N: Tensor
    inner_pdf_N: Tensor
    outer_N: Tensor
    outer_pdf_N: Tensor


def find_rivals(logits_NP: Tensor, pdfs: Sequence[int]) -> Rivals:
    """All that `best_offset` must know of the logits."""
    inside_P = torch.zeros(logits_NP.shape[1], dtype=torch.bool, device=logits_NP.device)
    inside_P[list(pdfs)] = True
    inner_N, inner_pdf_N = logits_NP.masked_fill(~inside_P, -torch.inf).max(dim=1)
    outer_N, outer_pdf_N = logits_NP.masked_fill(inside_P, -torch.inf).max(dim=1)
    return Rivals(inner_N, inner_pdf_N, outer_N, outer_pdf_N)


def best_offset(rivals: Rivals, labels_N: Tensor) -> float:
    """The number that, added to the logits of some pdfs, gets the most labelled frames right.

    With it a frame is decided for the best of these pdfs once it exceeds a border of the frame's own. So the number of
    right frames changes at these borders only, and one offset between each two of them is tried; of several best ones
    the middle one is taken.

    Args:
        labels_N: pdf ids, -1 where a frame has none.
    """
    labelled_N = labels_N >= 0
    gain_N = ((rivals.inner_pdf_N == labels_N).long() - (rivals.outer_pdf_N == labels_N).long())[labelled_N]
    border_N, order_N = (rivals.outer_N.double() - rivals.inner_N.double())[labelled_N].sort()
    right_K = torch.cat([torch.zeros(1, dtype=torch.long), gain_N[order_N].cumsum(0)])
    offset_K = torch.cat([border_N[:1] - 1, (border_N[1:] + border_N[:-1]) / 2, border_N[-1:] + 1])
    possible_K = torch.cat(
        [torch.ones(1, dtype=torch.bool), border_N[1:] > border_N[:-1], torch.ones(1, dtype=torch.bool)]
    )
    best_K = offset_K[possible_K & (right_K == right_K[possible_K].max())]
    return float(best_K.median())


def shift_bias(model: AcousticModel, pdfs: Sequence[int], offset: float) -> None:
    """Add a number to the output biases of some pdfs, in place."""
    output = model.net.layers[-1]
    assert isinstance(output, nn.Linear)
    with torch.no_grad():
        output.bias[list(pdfs)] += offset
