"""Time several variants of the same work fairly on a machine that others use too: interleaved, in shuffled rounds.

In every round each variant runs once, in a new order, for at least ``least_seconds``. A slow moment then falls on
all of them, and the median over rounds of a ratio taken within each round is hardly moved by it.
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Variant = Callable[[], object]
Stopwatch = Callable[[Variant, int], float]

LEAST_SECONDS = 0.05


@dataclass(frozen=True)
class Rounds:
    """What an interleaved run found.

    Attributes:
        seconds: of one call of each variant, round by round.
    """

    seconds: Mapping[str, tuple[float, ...]]

    def median(self, name: str) -> float:
        """Seconds of one call."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times as long as ``other`` a variant takes: the median of the rounds' ratios."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return statistics.median(own / others for own, others in pairs)


def interleave(
    variants: Mapping[str, Variant],
    *,
    rounds: int,
    stopwatch: Stopwatch,
    least_seconds: float = LEAST_SECONDS,
    seed: int = 0,
) -> Rounds:
    """Time variants in shuffled rounds.

    Args:
        variants: what to call; each is called at least twice before the first round, or once where it is slow.
        rounds: how often each is timed; odd, so that the median is one of them.
        stopwatch: seconds that so many calls of a variant take.
        least_seconds: a variant is called as often in a round as fills this time.
        seed: of the order.
    """
    shuffled = random.Random(seed)
    repeats = {name: _repeats(variant, stopwatch, least_seconds) for name, variant in variants.items()}
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name in shuffled.sample(list(variants), len(variants)):
            found[name].append(stopwatch(variants[name], repeats[name]) / repeats[name])
    return Rounds({name: tuple(seconds) for name, seconds in found.items()})


def _repeats(variant: Variant, stopwatch: Stopwatch, least_seconds: float) -> int:
    """How many calls fill the time. The first call, which may set things up, only counts where it is slow anyway."""
    count = 1
    seconds = stopwatch(variant, count)
    if seconds >= 10 * least_seconds:
        return count
    seconds = stopwatch(variant, count)
    while seconds < least_seconds / 4:
        count *= 4
        seconds = stopwatch(variant, count)
    return max(1, math.ceil(count * least_seconds / seconds))


def processor_seconds(variant: Variant, times: int) -> float:
    """Processor time of this process: what others do on the machine hardly counts."""
    started = time.process_time()
    for _ in range(times):
        variant()
    return time.process_time() - started


def gpu_seconds(variant: Variant, times: int) -> float:
    """Time on the GPU between two events around the calls."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    for _ in range(times):
        variant()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000


def stopwatch_of(device: torch.device) -> Stopwatch:
    """The stopwatch for work on a device."""
    return gpu_seconds if device.type == "cuda" else processor_seconds
