"""Acoustic scale and insertion penalty, chosen on a dev set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr_kd.errors import UsageError
from asr_kd.options import option

PATIENCE = 2


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

    def __post_init__(self) -> None:
        if not self.acoustic_scales or not self.insertion_penalties:
            raise UsageError("--acoustic-scales and --insertion-penalties need at least one value each")
        if min(self.acoustic_scales) <= 0:
            raise UsageError("--acoustic-scales must be above 0")


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
