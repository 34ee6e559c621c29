"""Acoustic scale and insertion penalty, chosen on a dev set."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from asr_kd.errors import UsageError
from asr_kd.options import option

PATIENCE = 2

_FEWEST = 15
_SURE = 2.5


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """The grid that is searched. A single value is taken as it is."""

    acoustic_scales: tuple[float, ...] = option(
        "weights of the acoustic scores to try on dev", default=(0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.4, 0.6)
    )
    insertion_penalties: tuple[float, ...] = option(
        "costs of a word to try on dev; higher means fewer words",
        default=(-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 6.0, 8.0),
    )
    tune_utterances: int = option("dev utterances to try them on, drawn at random; 0: all", default=0)

    def __post_init__(self) -> None:
        if not self.acoustic_scales or not self.insertion_penalties:
            raise UsageError("--acoustic-scales and --insertion-penalties need at least one value each")
        if min(self.acoustic_scales) <= 0:
            raise UsageError("--acoustic-scales must be above 0")
        if self.tune_utterances < 0:
            raise UsageError("--tune-utterances must be 0 or more")


@dataclass(frozen=True)
class Tuned:
    """The best point of the grid and its error."""

    acoustic_scale: float
    insertion_penalty: float
    error: float


def tune(error: Callable[[float, float], float], options: TuneOptions) -> Tuned:
    """Try all scales without a penalty, then walk downhill from the best, one axis at a time.

    The error over the scales can have two valleys (a high scale with a high penalty is one), so a walk from the middle
    may end in the wrong one. Along an axis the walk goes on while any of the next `PATIENCE` points is better: the
    error of a small dev set is not smooth.

    Args:
        error: of an acoustic scale and an insertion penalty; each point is asked for once.
    """
    scales, penalties = sorted(options.acoustic_scales), sorted(options.insertion_penalties)
    known: dict[tuple[int, int], float] = {}

    def at(point: tuple[int, int]) -> float:
        if point not in known:
            known[point] = error(scales[point[0]], penalties[point[1]])
        return known[point]

    no_penalty = min(range(len(penalties)), key=lambda index: abs(penalties[index]))
    middle = len(scales) // 2
    for index in sorted(range(len(scales)), key=lambda index: abs(index - middle)):
        at((index, no_penalty))  # from the middle, so that `Race` meets good points first
    # Of equals the one nearest the grid's middle: the edge of a plateau is the worst place on it.
    here = min(((index, no_penalty) for index in range(len(scales))), key=lambda p: (at(p), abs(p[0] - middle)))
    before = None
    while before != here:
        before = here
        here = _descend([(index, here[1]) for index in range(len(scales))], here, at)
        here = _descend([(here[0], index) for index in range(len(penalties))], here, at)
    return Tuned(scales[here[0]], penalties[here[1]], at(here))


def _descend(
    line: Sequence[tuple[int, int]], start: tuple[int, int], at: Callable[[tuple[int, int]], float]
) -> tuple[int, int]:
    """The best point of a line that a walk from ``start`` finds; the start where none is better."""
    here = line.index(start)
    for step in (1, -1):
        found = here
        while ahead := [i for i in range(found + step, found + step * (PATIENCE + 1), step) if 0 <= i < len(line)]:
            best = min(ahead, key=lambda index: at(line[index]))
            if at(line[best]) >= at(line[found]):
                break
            found = best
        if found != here:
            return line[found]
    return line[here]


class Race:
    """The error rate of one point after another on the same utterances; a hopeless point is not heard to its end.

    Where a point has made more errors than the best one so far, by several standard errors of the paired difference,
    the rest of the utterances would hardly change the choice. Its error is then the best one's and the difference so
    far (Maron & Moore 1994, "Hoeffding races", with a normal bound). The utterances must come in random order. They
    are drawn from those of the set without being put back, so that the standard error falls to nothing at its end
    (Cochran 1977, "Sampling Techniques", section 2.6).

    Args:
        num_words: reference words of each utterance. One that is never heard counts as deleted.

    Attributes:
        points: how many were tried.
        heard: utterances heard, of all points together.
    """

    def __init__(self, num_words: Mapping[str, int]) -> None:
        self._num_words = num_words
        self._total = sum(num_words.values())
        self._best: dict[str, int] = {}
        self._fewest = math.inf
        self.points = self.heard = 0

    def error(self, errors: Iterable[tuple[str, int]]) -> float:
        """The error rate of a point.

        Args:
            errors: utterances with their word errors; what follows a hopeless beginning is not asked for.
        """
        self.points += 1
        found: dict[str, int] = {}
        more = squares = 0
        for utterance, count in errors:
            self.heard += 1
            found[utterance] = count
            difference = count - self._best.get(utterance, 0)
            more, squares = more + difference, squares + difference**2
            if self._best and len(found) >= _FEWEST and self._is_hopeless(len(found), more, squares):
                words = sum(self._num_words[utterance] for utterance in found)
                return (self._fewest + more / words * self._total) / self._total
        total = sum(found.get(utterance, words) for utterance, words in self._num_words.items())
        if total < self._fewest:
            self._best, self._fewest = found, total
        return total / self._total

    def _is_hopeless(self, heard: int, more: int, squares: int) -> bool:
        """Whether a point's differences from the best one, by their number, sum and sum of squares, are above 0."""
        mean = more / heard
        variance = (squares - mean * more) / (heard - 1)
        left = 1 - heard / len(self._num_words)
        return mean > 0 and mean**2 > _SURE**2 * variance * left / heard
