"""Whether two systems differ on one test set: matched pairs and paired bootstrap."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr_kd.score.bootstrap import Estimate


@dataclass(frozen=True)
class MatchedPairs:
    """Result of `matched_pairs`: the statistic and its two-sided p-value."""

    z: float
    p: float


def matched_pairs(errors_a_U: npt.ArrayLike, errors_b_U: npt.ArrayLike) -> MatchedPairs:
    """Matched-pairs sentence-segment word error test (MAPSSWE).

    With d the difference of the two systems' word errors in a segment, ``z = mean(d) / (std(d) / sqrt(n))``
    is standard normal where the systems are equal and the segments' errors independent (Gillick & Cox,
    ICASSP 1989; NIST ``sc_stats -t mapsswe``). A segment here is a whole utterance. NIST also cuts an
    utterance where both systems have two words right in a row, which gives more and shorter segments.

    Args:
        errors_a_U: word errors of the first system by utterance, [U]; means over seeds may be fractions.
        errors_b_U: of the second, [U].
    """
    difference_U = np.asarray(errors_a_U, dtype=np.float64) - np.asarray(errors_b_U, dtype=np.float64)
    mean = float(difference_U.mean())
    if mean == 0:
        return MatchedPairs(0.0, 1.0)
    std = float(difference_U.std(ddof=1)) if len(difference_U) > 1 else math.inf
    z = mean / (std / math.sqrt(len(difference_U))) if std else math.copysign(math.inf, mean)
    return MatchedPairs(z, math.erfc(abs(z) / math.sqrt(2)))


def bootstrap_p(difference: Estimate) -> float:
    """Two-sided p-value that a paired difference is 0: twice the share of resampled test sets beyond 0.

    One is added to both counts, so that B test sets never claim less than 2 / (B + 1) (Davison & Hinkley
    1997, chapter 4).
    """
    samples_B = difference.samples_B
    beyond = min(int((samples_B <= 0).sum()), int((samples_B >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (len(samples_B) + 1))
