"""Tuning finds the best point of its grid and asks for no point twice."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.decode.tune import PATIENCE, Race, TuneOptions, tune
from asr_kd.errors import UsageError

grids = st.builds(
    lambda scales, penalties: TuneOptions(acoustic_scales=tuple(scales), insertion_penalties=tuple(penalties)),
    st.lists(st.sampled_from([0.05, 0.07, 0.1, 0.2, 0.4, 0.8]), min_size=1, unique=True),
    st.lists(st.integers(-5, 5).map(float), min_size=1, unique=True),
)


def points(options: TuneOptions) -> list[tuple[float, float]]:
    return [(scale, penalty) for scale in options.acoustic_scales for penalty in options.insertion_penalties]


def near(values: tuple[float, ...], value: float) -> list[float]:
    """The values within the walk's patience."""
    ordered = sorted(values)
    place = ordered.index(value)
    return ordered[max(place - PATIENCE, 0) : place + PATIENCE + 1]


@given(options=grids, scale=st.floats(0, 1), penalty=st.floats(-5, 5), weight=st.floats(0.1, 10))
@settings(max_examples=60, deadline=None)
def test_it_finds_the_least_of_a_convex_error(
    options: TuneOptions, scale: float, penalty: float, weight: float
) -> None:
    def error(at_scale: float, at_penalty: float) -> float:
        return abs(at_scale - scale) + weight * (at_penalty - penalty) ** 2

    tuned = tune(error, options)
    assert tuned.error == error(tuned.acoustic_scale, tuned.insertion_penalty)
    assert tuned.error == min(error(*point) for point in points(options))


@given(options=grids, seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_no_point_is_asked_for_twice_and_no_point_nearby_is_better(options: TuneOptions, seed: int) -> None:
    asked: Counter[tuple[float, float]] = Counter()

    def error(scale: float, penalty: float) -> float:
        asked[scale, penalty] += 1
        return hash((seed, scale, penalty)) % 10_007 / 10_007

    tuned = tune(error, options)
    assert set(asked) <= set(points(options))
    assert set(asked.values()) == {1}
    assert tuned.error == error(tuned.acoustic_scale, tuned.insertion_penalty)
    for scale in near(options.acoustic_scales, tuned.acoustic_scale):
        assert tuned.error <= error(scale, tuned.insertion_penalty)
    for penalty in near(options.insertion_penalties, tuned.insertion_penalty):
        assert tuned.error <= error(tuned.acoustic_scale, penalty)


def test_a_second_valley_at_high_scales_does_not_catch_it() -> None:
    def error(scale: float, penalty: float) -> float:
        return min(0.1 + 2 * abs(scale - 0.05), 0.15 + abs(scale - 0.6) / 4) + abs(penalty) / 100

    tuned = tune(error, TuneOptions())
    assert (tuned.acoustic_scale, tuned.insertion_penalty) == (0.05, 0.0)


def test_of_scales_that_are_equally_good_the_one_nearest_the_middle_is_taken() -> None:
    options = TuneOptions(acoustic_scales=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
    assert tune(lambda scale, penalty: float(scale > 0.35), options).acoustic_scale == 0.3


def test_of_penalties_that_are_equally_good_the_smallest_is_taken() -> None:
    options = TuneOptions(acoustic_scales=(0.1, 0.2), insertion_penalties=(-3.0, -1.0, 2.0, 6.0))
    assert tune(lambda scale, penalty: 0.1, options).insertion_penalty == -1.0


def test_a_single_point_is_taken_as_it_is() -> None:
    tuned = tune(lambda scale, penalty: 0.3, TuneOptions(acoustic_scales=(0.7,), insertion_penalties=(2.0,)))
    assert (tuned.acoustic_scale, tuned.insertion_penalty, tuned.error) == (0.7, 2.0, 0.3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"acoustic_scales": ()}, "at least one value"),
        ({"insertion_penalties": ()}, "at least one value"),
        ({"acoustic_scales": (0.1, 0.0)}, "--acoustic-scales must be above 0"),
    ],
)
def test_impossible_grids_are_wrong_usage(wrong: dict[str, tuple[float, ...]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TuneOptions(**wrong)


def race_errors(rates: dict[float, float], num: int, seed: int) -> dict[float, list[int]]:
    """Errors of some points in utterances of ten words, alike where the utterance is hard."""
    rng = np.random.default_rng(seed)
    hard = rng.beta(1, 2, num)
    return {point: rng.binomial(10, np.clip(hard * rate / 0.33, 0, 1)).tolist() for point, rate in rates.items()}


@given(seed=st.integers(0, 9999), rates=st.lists(st.floats(0.05, 0.6), min_size=2, max_size=6, unique=True))
@settings(max_examples=60, deadline=None)
def test_a_race_hears_less_and_its_winner_is_as_good_as_that_of_all_utterances(seed: int, rates: list[float]) -> None:
    num = 300
    errors = race_errors({float(n): rate for n, rate in enumerate(rates)}, num, seed)
    race = Race({f"u{n}": 10 for n in range(num)})
    found = {point: race.error((f"u{n}", e) for n, e in enumerate(own)) for point, own in errors.items()}
    whole = {point: sum(own) / (10 * num) for point, own in errors.items()}
    winner = min(found, key=lambda point: found[point])
    assert found[winner] == whole[winner]  # the winner was heard to the end
    assert whole[winner] <= min(whole.values()) + 0.01
    assert race.points == len(rates)
    assert race.heard <= num * len(rates)


def test_a_hopeless_point_is_not_heard_to_the_end() -> None:
    race = Race({f"u{n}": 10 for n in range(500)})
    assert race.error((f"u{n}", n % 3) for n in range(500)) == pytest.approx(0.1, abs=0.001)
    assert race.error((f"u{n}", 2 + n % 4) for n in range(500)) > 0.2
    assert race.heard < 600


def test_utterances_that_are_never_heard_count_as_deleted() -> None:
    assert Race({"u1": 3, "u2": 5}).error([("u1", 1)]) == (1 + 5) / 8


@given(seed=st.integers(0, 9999), num=st.integers(20, 200))
@settings(max_examples=60, deadline=None)
def test_a_point_is_left_where_the_paired_difference_is_several_of_its_standard_errors(seed: int, num: int) -> None:
    """The standard error of a mean of draws without replacement, by numpy."""
    errors = race_errors({0.0: 0.2, 1.0: 0.35}, num, seed)
    race = Race({f"u{n}": 10 for n in range(num)})
    for own in errors.values():
        race.error((f"u{n}", e) for n, e in enumerate(own))
    more = np.subtract(errors[1.0], errors[0.0])
    standard_errors = [np.sqrt(more[:n].var(ddof=1) / n * (num - n) / num) for n in range(15, num + 1)]
    hopeless = [n for n in range(15, num + 1) if more[:n].mean() > 2.5 * standard_errors[n - 15]]
    assert race.heard - num == (hopeless[0] if hopeless else num)
