"""What a generalist and its specialists say together (Hinton, Vinyals & Dean 2015, section 5.4).

For a frame, k are the n states most probable under the generalist, and A_k are the specialists whose subset meets k.
Their common distribution q is the one that minimises

    ``F(q) = KL(p^g, q) + sum_{m in A_k} KL(p^m, q)``

where specialist m compares its dustbin with q's sum over the states outside its subset S^m.

The paper writes q = softmax(z) and goes down the gradient of F at z. That gradient is
``(1 + |A|) q - p^g - sum_m r^m``, where r^m is p^m with its dustbin's mass spread over the states outside in
proportion to q. Holding r^m fixed, it is zero at

    ``q <- (p^g + sum_m r^m) / (1 + |A|)``

which is the step taken here. It is the EM algorithm for counts of which some are known only as sums (Dempster, Laird &
Rubin 1977, their first example): F falls in every step, and there is no step size to choose. F is convex in q, so it
ends in the minimum that the gradient's descent would reach as well. With one active specialist the first step from
p^g is the minimum already. With none, q is p^g.

Legend: B frames of a batch, P pdfs, M specialists, C classes of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from asr_kd.errors import UsageError
from asr_kd.options import option
from asr_kd.specialists.subset import Subset

TOLERANCE = 1e-6
STEPS_BETWEEN_LOOKS = 4
MOST_STEPS = 2000
LEAST = 1e-30


@dataclass(frozen=True, kw_only=True)
class FusionOptions:
    """Which specialists are asked."""

    num_best: int = option(
        "n: a specialist is asked where its states meet the generalist's n most probable ones", default=1
    )

    def __post_init__(self) -> None:
        if self.num_best < 1:
            raise UsageError(f"--num-best must be at least 1, got {self.num_best}")


def active_specialists(generalist_BP: Tensor, inside_MP: Tensor, num_best: int) -> Tensor:
    """Which specialists have one of the generalist's ``num_best`` most probable states, ``[B, M]`` bool."""
    best_BK = generalist_BP.topk(min(num_best, generalist_BP.shape[1]), dim=1).indices
    return inside_MP.T[best_BK].any(dim=1)


def fuse(
    generalist_BP: Tensor, specialists_BC: Sequence[Tensor], subsets: Sequence[Subset], *, num_best: int
) -> Tensor:
    """The distribution q ``[B, P]`` of a generalist and the specialists active in each frame.

    Args:
        generalist_BP: p^g.
        specialists_BC: p^m of each specialist, the dustbin last; needed only where it is active.
        subsets: their states.
        num_best: n.
    """
    inside_MP = inside_of(subsets).to(generalist_BP.device)
    active_BM = active_specialists(generalist_BP, inside_MP, num_best)
    known_BP = generalist_BP.clone()
    for number, (given_BC, subset) in enumerate(zip(specialists_BC, subsets, strict=True)):
        known_BP[:, list(subset.pdfs)] += given_BC[:, :-1] * active_BM[:, number : number + 1]
    dustbins_BM = torch.stack([given_BC[:, -1] for given_BC in specialists_BC], dim=1) * active_BM
    return minimise(generalist_BP, known_BP, dustbins_BM, (~inside_MP).to(generalist_BP.dtype))


def inside_of(subsets: Sequence[Subset]) -> Tensor:
    """Which states each subset holds, ``[M, P]`` bool."""
    return torch.stack([torch.from_numpy(subset.mask()) for subset in subsets])


def minimise(start_BP: Tensor, known_BP: Tensor, dustbins_BM: Tensor, outside_MP: Tensor) -> Tensor:
    """q ``[B, P]`` that minimises ``-sum_P a log q - sum_M d log(sum of q outside)``; its probabilities sum to one.

    Args:
        start_BP: first q; where it is 0, q stays 0.
        known_BP: a, mass given to single states.
        dustbins_BM: d, mass given to all states outside a subset together; 0 where a specialist is not active. It does
            not count where q is 0 outside.
        outside_MP: 1 for the states outside each subset, else 0.
    """
    dustbins_BM = dustbins_BM * (start_BP @ outside_MP.T > LEAST)
    mass_B1 = known_BP.sum(dim=1, keepdim=True) + dustbins_BM.sum(dim=1, keepdim=True)
    found_BP = start_BP.clone()
    rows = torch.nonzero((dustbins_BM > 0).any(dim=1) | (known_BP != start_BP).any(dim=1)).squeeze(1)
    q_BP, a_BP, d_BM, mass_B1 = found_BP[rows], known_BP[rows], dustbins_BM[rows], mass_B1[rows]
    for _ in range(MOST_STEPS // STEPS_BETWEEN_LOOKS):
        if not len(rows):
            break
        for _ in range(STEPS_BETWEEN_LOOKS):
            before_BP = q_BP
            shares_BM = d_BM / (q_BP @ outside_MP.T).clamp(min=LEAST)
            q_BP = (a_BP + q_BP * (shares_BM @ outside_MP)) / mass_B1
        found_BP[rows] = q_BP
        going = torch.nonzero((q_BP - before_BP).abs().amax(dim=1) > TOLERANCE).squeeze(1)
        # Frames come to rest after few steps or after many: only those that still move go on.
        rows, q_BP, a_BP, d_BM, mass_B1 = rows[going], q_BP[going], a_BP[going], d_BM[going], mass_B1[going]
    return found_BP
