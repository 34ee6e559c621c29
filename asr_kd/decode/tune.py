"""Acoustic scale and insertion penalty, chosen on a dev set."""

from collections.abc import Callable
from dataclasses import dataclass

from asr_kd.errors import UsageError
from asr_kd.options import option


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """The grid that is searched. A single value is taken as it is."""

    acoustic_scales: tuple[float, ...] = option(
        "weights of the acoustic scores to try on dev", default=(0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.4, 0.6)
    )
    insertion_penalties: tuple[float, ...] = option(
        "costs of a word to try on dev; higher means fewer words", default=(-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 6.0)
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
    """Search the grid one axis at a time until neither brings the error down.

    Args:
        error: of an acoustic scale and an insertion penalty; each point is asked for once.
    """
    scales, penalties = sorted(options.acoustic_scales), sorted(options.insertion_penalties)
    known: dict[tuple[float, float], float] = {}

    def at(scale: float, penalty: float) -> float:
        if (scale, penalty) not in known:
            known[scale, penalty] = error(scale, penalty)
        return known[scale, penalty]

    scale, penalty = scales[len(scales) // 2], min(penalties, key=abs)
    best = None
    while best is None or at(scale, penalty) < best:
        best = at(scale, penalty)
        scale = min(scales, key=lambda value: at(value, penalty))
        penalty = min(penalties, key=lambda value: (at(scale, value), abs(value)))
    return Tuned(scale, penalty, at(scale, penalty))
