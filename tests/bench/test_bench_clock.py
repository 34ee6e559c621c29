"""The interleaving clock: its arithmetic, its fairness to slow moments, and how often it calls."""

import statistics
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.bench.clock import Rounds, interleave, processor_seconds


class Machine:
    """Variants of known cost on a machine that may slow down, and a stopwatch that reads its time."""

    def __init__(self, costs: dict[str, float], slowness: Callable[[float], float] = lambda now: 1.0) -> None:
        self.costs, self.slowness = costs, slowness
        self.now = 0.0
        self.calls: list[str] = []

    def variants(self) -> dict[str, Callable[[], object]]:
        return {name: lambda name=name: self._work(name) for name in self.costs}

    def stopwatch(self, variant: Callable[[], object], times: int) -> float:
        started = self.now
        for _ in range(times):
            variant()
        return self.now - started

    def _work(self, name: str) -> None:
        self.calls.append(name)
        self.now += self.costs[name] * self.slowness(self.now)


@given(costs=st.lists(st.floats(1e-4, 10.0), min_size=2, max_size=5), rounds=st.integers(1, 9))
@settings(max_examples=50)
def test_medians_and_ratios_are_those_of_the_costs(costs: list[float], rounds: int) -> None:
    machine = Machine({f"v{number}": cost for number, cost in enumerate(costs)})
    run = interleave(machine.variants(), rounds=rounds, stopwatch=machine.stopwatch, least_seconds=0.05)
    assert all(len(seconds) == rounds for seconds in run.seconds.values())
    assert run.median("v0") == pytest.approx(costs[0])
    assert run.ratio("v1", "v0") == pytest.approx(costs[1] / costs[0])


def test_a_variant_fills_the_time_it_is_given_and_no_more_than_twice_that() -> None:
    machine = Machine({"quick": 0.001, "slow": 3.0})
    interleave(machine.variants(), rounds=5, stopwatch=machine.stopwatch, least_seconds=0.05)
    assert machine.calls.count("slow") == 5 + 1, "one call to find out, then one a round"
    assert 5 * 50 <= machine.calls.count("quick") <= 5 * 100


def test_the_order_changes_from_round_to_round_and_is_the_same_for_a_seed() -> None:
    def order(seed: int) -> list[str]:
        machine = Machine(dict.fromkeys("abcd", 1.0))
        interleave(machine.variants(), rounds=6, stopwatch=machine.stopwatch, least_seconds=0.05, seed=seed)
        return machine.calls[4:]

    rounds = [tuple(order(0)[begin : begin + 4]) for begin in range(0, 24, 4)]
    assert len(set(rounds)) > 1 and all(set(one) == set("abcd") for one in rounds)
    assert order(0) == order(0) != order(1)


def test_a_slow_stretch_of_the_machine_hardly_moves_the_ratio() -> None:
    machine = Machine({"ours": 1.0, "theirs": 4.0}, slowness=lambda now: 3.0 if 20 < now < 60 else 1.0)
    run = interleave(machine.variants(), rounds=11, stopwatch=machine.stopwatch, least_seconds=0.05)
    assert run.ratio("theirs", "ours") == pytest.approx(4.0)


def test_a_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_medians() -> None:
    run = Rounds({"a": (1.0, 4.0, 9.0), "b": (1.0, 2.0, 1.0)})
    assert run.ratio("a", "b") == 2.0 != statistics.median((1.0, 4.0, 9.0)) / 1.0


def test_processor_time_does_not_count_waiting() -> None:
    waited = processor_seconds(lambda: time.sleep(0.05), 1)
    assert 0 <= waited < 0.04
