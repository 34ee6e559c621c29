"""Whether two systems differ on one test set: matched pairs and paired bootstrap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr_kd.score.bootstrap import Estimate

FEW = 16


@dataclass(frozen=True)
class MatchedPairs:
    """Result of `matched_pairs`: the statistic and its two-sided p-value."""

    z: float
    p: float
    segments: int


def matched_pairs(errors_a_S: npt.ArrayLike, errors_b_S: npt.ArrayLike) -> MatchedPairs:
    """Matched-pairs sentence-segment word error test (MAPSSWE).

    With d the difference of the two systems' word errors in a segment, ``z = mean(d) / (std(d) / sqrt(n))``
    is standard normal where the systems are equal and the segments' errors independent (Gillick & Cox,
    ICASSP 1989; NIST ``sc_stats -t mapsswe``). That is an approximation for many segments: where `FEW` or less differ,
    p is the exact one of all ways to give the differences their signs (Fisher's randomisation test).

    Args:
        errors_a_S: word errors of the first system by segment, as `segment_errors` gives them.
        errors_b_S: of the second.
    """
    difference_S = np.asarray(errors_a_S, dtype=np.float64) - np.asarray(errors_b_S, dtype=np.float64)
    number = len(difference_S)
    mean = float(difference_S.mean()) if number else 0.0
    if mean == 0:
        return MatchedPairs(0.0, 1.0, number)
    std = float(difference_S.std(ddof=1)) if number > 1 else math.inf
    z = mean / (std / math.sqrt(number)) if std else math.copysign(math.inf, mean)
    differing = difference_S[difference_S != 0]
    p = _exact_p(differing) if len(differing) <= FEW else math.erfc(abs(z) / math.sqrt(2))
    return MatchedPairs(z, p, number)


def _exact_p(differences: npt.NDArray[np.float64]) -> float:
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return float((np.abs(sums) >= abs(differences.sum()) - 1e-9).mean())


def bootstrap_p(difference: Estimate) -> float:
    """Two-sided p-value that a paired difference is 0: twice the share of resampled test sets beyond 0.

    One is added to both counts, so that B test sets never claim less than 2 / (B + 1) (Davison & Hinkley
    1997, chapter 4).
    """
    samples_B = difference.samples_B
    beyond = min(int((samples_B <= 0).sum()), int((samples_B >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(samples_B) + 1))


def holm(ps: Sequence[float]) -> list[float]:
    """p-values of several tests that hold for all of them together (Holm 1979): the smallest times their number, ..."""
    adjusted = [1.0] * len(ps)
    greatest = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        greatest = max(greatest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = greatest
    return adjusted
