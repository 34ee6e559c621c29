"""Bootstrap of a test set: the same resampled test sets for every system, so differences are paired.

Whole speakers are drawn where there are enough of them: a speaker's utterances are hard or easy together, and drawn one
by one they would make intervals too narrow.

B resampled test sets, U utterances, D units that are drawn, C columns of sums.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)
FloatArray = npt.NDArray[np.float64]

LEVEL = 0.95
FEWEST_SPEAKERS = 20
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
    ratios: Mapping[Key, tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    num_samples: int,
    rng: np.random.Generator,
    speakers: Sequence[str] = (),
) -> dict[Key, Estimate]:
    """Ratios of sums over utterances (errors over words, correct over labelled frames), jointly resampled.

    Args:
        ratios: numerators [U] and denominators [U] by name; U is the same for all.
        num_samples: B, how many test sets to draw with replacement, each of as many units as there are.
        rng: the source of the draws.
        speakers: of each utterance, where they are known.
    """
    columns_UC = np.stack([np.asarray(part, dtype=np.float64) for pair in ratios.values() for part in pair], axis=1)
    sums_BC = resampled_sums(sums_of_units(columns_UC, speakers), num_samples=num_samples, rng=rng)
    totals_C = columns_UC.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        samples_BK = sums_BC[:, 0::2] / sums_BC[:, 1::2]
    values_K = totals_C[0::2] / totals_C[1::2]
    return {
        key: Estimate(float(value), samples_B)
        for key, value, samples_B in zip(ratios, values_K, samples_BK.T, strict=True)
    }


def draws_speakers(speakers: Sequence[str]) -> bool:
    """Whether whole speakers are drawn: `FEWEST_SPEAKERS` or more, with several utterances at least some of them."""
    return FEWEST_SPEAKERS <= len(set(speakers)) < len(speakers)


def sums_of_units(columns_UC: FloatArray, speakers: Sequence[str]) -> FloatArray:
    """Sums over what is drawn, [D, C]: each speaker's utterances, or each utterance by itself."""
    if not draws_speakers(speakers):
        return columns_UC
    names, speaker_U = np.unique(speakers, return_inverse=True)
    sums_DC = np.zeros((len(names), columns_UC.shape[1]))
    np.add.at(sums_DC, speaker_U, columns_UC)
    return sums_DC


def bootstrap_facts(*, num_samples: int, seed: int, speakers: Sequence[str]) -> dict[str, Any]:
    """What ``results.json`` says of its intervals."""
    unit = "speaker" if draws_speakers(speakers) else "utterance"
    return {"samples": num_samples, "seed": seed, "level": LEVEL, "unit": unit, "speakers": len(set(speakers))}


def drawn_units(facts: Mapping[str, Any]) -> str:
    """What the intervals of a page are over, in words; the facts are of `bootstrap_facts`."""
    if facts["unit"].startswith("speaker"):
        return f"the {facts['speakers']} test speakers, each drawn with all its utterances"
    if 0 < (number := facts.get("speakers", 0)) < FEWEST_SPEAKERS:
        few = "one speaker is" if number == 1 else f"{number} speakers are"
        return f"test utterances ({few} too few to draw: the chance of who speaks is not in them)"
    return "test utterances"


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


def resampled_sums(columns_DC: FloatArray, *, num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Column sums of ``num_samples`` test sets of D units drawn with replacement, [B, C]."""
    num_units = len(columns_DC)
    chunk = max(1, _DRAWS_AT_ONCE // num_units)
    return np.concatenate(
        [
            _draw_counts(min(chunk, num_samples - start), num_units, rng) @ columns_DC
            for start in range(0, num_samples, chunk)
        ]
    )


def _draw_counts(num_samples: int, num_units: int, rng: np.random.Generator) -> FloatArray:
    """How often each unit is in each resampled test set, [samples, D]: multinomial counts.

    Drawing indices and counting them is some ten times faster than ``Generator.multinomial``.
    """
    drawn = rng.integers(num_units, size=(num_samples, num_units))
    drawn += np.arange(num_samples)[:, None] * num_units
    counts = np.bincount(drawn.ravel(), minlength=num_samples * num_units)
    return counts.reshape(num_samples, num_units).astype(np.float64)
