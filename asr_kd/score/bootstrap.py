"""Bootstrap over utterances: the same resampled test sets for every system, so differences are paired.

B resampled test sets, U utterances, C columns of per-utterance sums.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)
FloatArray = npt.NDArray[np.float64]

LEVEL = 0.95
_DRAWS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A statistic of the test set, and its values on the resampled test sets, [B]."""

    value: float
    samples_B: FloatArray

    def minus(self, other: "Estimate") -> "Estimate":
        """The difference; paired where both come from one call of `estimate_ratios`."""
        return Estimate(self.value - other.value, self.samples_B - other.samples_B)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The percentile interval (Efron 1979; for WER: Bisani & Ney, ICASSP 2004)."""
        tail = (1 - level) / 2
        low, high = np.nanquantile(self.samples_B, [tail, 1 - tail])
        return float(low), float(high)


def estimate_ratios(
    ratios: Mapping[Key, tuple[npt.ArrayLike, npt.ArrayLike]], *, num_samples: int, rng: np.random.Generator
) -> dict[Key, Estimate]:
    """Ratios of sums over utterances (errors over words, correct over labelled frames), jointly resampled.

    Args:
        ratios: numerators [U] and denominators [U] by name; U is the same for all.
        num_samples: B, how many test sets of U utterances to draw with replacement.
        rng: the source of the draws.
    """
    columns_UC = np.stack([np.asarray(part, dtype=np.float64) for pair in ratios.values() for part in pair], axis=1)
    sums_BC = resampled_sums(columns_UC, num_samples=num_samples, rng=rng)
    totals_C = columns_UC.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        samples_BK = sums_BC[:, 0::2] / sums_BC[:, 1::2]
    values_K = totals_C[0::2] / totals_C[1::2]
    return {
        key: Estimate(float(value), samples_B)
        for key, value, samples_B in zip(ratios, values_K, samples_BK.T, strict=True)
    }


def seed_deviation(values: Iterable[Sequence[float]]) -> tuple[float, int]:
    """Standard deviation over seeds, pooled over systems, and its degrees of freedom; (0, 0) where each has one seed.

    Two or three seeds of one system say little of it. The error of a mean over n seeds is then the deviation / sqrt(n)
    times Student's t of so many degrees of freedom.

    Args:
        values: of each system, a figure for each seed.
    """
    found = [np.asarray(own, dtype=np.float64) for own in values]
    freedom = sum(len(own) - 1 for own in found)
    if freedom == 0:
        return 0.0, 0
    return math.sqrt(sum(float(((own - own.mean()) ** 2).sum()) for own in found) / freedom), freedom


def resampled_sums(columns_UC: FloatArray, *, num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Column sums of ``num_samples`` test sets of U utterances drawn with replacement, [B, C]."""
    num_utterances = len(columns_UC)
    chunk = max(1, _DRAWS_AT_ONCE // num_utterances)
    return np.concatenate(
        [
            _draw_counts(min(chunk, num_samples - start), num_utterances, rng) @ columns_UC
            for start in range(0, num_samples, chunk)
        ]
    )


def _draw_counts(num_samples: int, num_utterances: int, rng: np.random.Generator) -> FloatArray:
    """How often each utterance is in each resampled test set, [samples, U]: multinomial counts.

    Drawing indices and counting them is some ten times faster than ``Generator.multinomial``.
    """
    drawn = rng.integers(num_utterances, size=(num_samples, num_utterances))
    drawn += np.arange(num_samples)[:, None] * num_utterances
    counts = np.bincount(drawn.ravel(), minlength=num_samples * num_utterances)
    return counts.reshape(num_samples, num_utterances).astype(np.float64)
