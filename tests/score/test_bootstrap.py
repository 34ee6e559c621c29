"""The bootstrap: paired, ratio statistics, honest coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.score.bootstrap import (
    Estimate,
    bootstrap_facts,
    drawn_units,
    draws_speakers,
    estimate_ratios,
    resampled_sums,
    sums_of_units,
)

counts = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=40)


@given(counts, st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_interval_holds_the_estimate(pairs: list[tuple[int, int]], seed: int) -> None:
    errors, words = np.array(pairs).T
    found = estimate_ratios({"wer": (errors, words)}, num_samples=400, rng=np.random.default_rng(seed))["wer"]
    assert found.value == errors.sum() / words.sum()
    low, high = found.interval()
    assert low <= found.value <= high


@given(counts)
@settings(max_examples=25, deadline=None)
def test_equal_systems_differ_by_exactly_nothing(pairs: list[tuple[int, int]]) -> None:
    errors, words = np.array(pairs).T
    ratios = {"one": (errors, words), "other": (errors, words), "twice": (2 * errors, 2 * words)}
    found = estimate_ratios(ratios, num_samples=100, rng=np.random.default_rng(0))
    for name in ("other", "twice"):
        assert not found["one"].minus(found[name]).samples_B.any()


def test_every_resampled_test_set_has_all_its_utterances() -> None:
    sums = resampled_sums(np.ones((321, 1)), num_samples=50, rng=np.random.default_rng(0))
    assert (sums == 321).all()


def test_chunks_draw_as_many_samples_as_asked(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("asr_kd.score.bootstrap._DRAWS_AT_ONCE", 70)
    columns = np.random.default_rng(0).random((10, 3))
    sums = resampled_sums(columns, num_samples=30, rng=np.random.default_rng(1))
    assert sums.shape == (30, 3)
    assert len(np.unique(sums[:, 0])) == 30


def test_spread_equals_that_of_the_mean_of_independent_utterances() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = estimate_ratios({"mean": (values, np.ones(400))}, num_samples=4000, rng=np.random.default_rng(1))["mean"]
    assert abs(found.samples_B.std() / (values.std() / 20) - 1) < 0.05


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        words = rng.integers(3, 8, size=150)
        # errors cluster in hard utterances, as they do in speech
        errors = rng.binomial(words, rng.beta(1, 9, size=150))
        low, high = estimate_ratios({"wer": (errors, words)}, num_samples=300, rng=rng)["wer"].interval()
        covered += low <= 0.1 <= high
    assert 0.90 <= covered / 300 <= 0.98


@pytest.mark.parametrize(("num_speakers", "drawn"), [(60, "speaker"), (19, "utterance")])
def test_intervals_cover_other_speakers_where_there_are_enough_to_draw(num_speakers: int, drawn: str) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    speakers = np.repeat([f"s{number}" for number in range(num_speakers)], 10).tolist()
    for _ in range(200):
        # Some speakers are hard, and all that they say.
        errors = rng.binomial(10, np.repeat(rng.beta(1, 9, size=num_speakers), 10))
        ratios = {"wer": (errors, np.full(len(errors), 10))}
        low, high = estimate_ratios(ratios, num_samples=300, rng=rng, speakers=speakers)["wer"].interval()
        covered += low <= 0.1 <= high
    assert bootstrap_facts(num_samples=300, seed=1, speakers=speakers)["unit"] == drawn
    assert (covered / 200 > 0.89) == (drawn == "speaker")


def test_a_unit_is_a_speaker_only_where_speakers_repeat() -> None:
    each = [f"image-{number}" for number in range(50)]
    assert not draws_speakers(each) and not draws_speakers([]) and draws_speakers([*each, each[0]])
    columns_UC = np.arange(6.0).reshape(3, 2)
    assert sums_of_units(columns_UC, ["b", "a", "b"]) is columns_UC
    many = [*each, "image-7"]
    sums_DC = sums_of_units(np.arange(51.0)[:, None], many)
    assert sums_DC.shape == (50, 1) and sums_DC.sum() == np.arange(51).sum() and 57 in sums_DC


def test_what_is_drawn_is_said() -> None:
    said = [drawn_units({"unit": unit, "speakers": n}) for unit, n in (("speaker", 36), ("utterance", 6))]
    assert said[0] == "the 36 test speakers, each drawn with all its utterances"
    assert "6 speakers are too few to draw" in said[1]
    assert drawn_units({"unit": "utterance"}) == "test utterances"


def test_the_same_seed_gives_the_same_interval() -> None:
    def interval() -> tuple[float, float]:
        ratios = {"wer": (np.arange(20), np.full(20, 20))}
        return estimate_ratios(ratios, num_samples=200, rng=np.random.default_rng(7))["wer"].interval()

    assert interval() == interval()


def test_a_sample_without_a_value_is_left_out_of_the_interval() -> None:
    assert Estimate(1.0, np.array([1.0, np.nan, 1.0])).interval() == (1.0, 1.0)
