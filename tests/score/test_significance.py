"""Matched pairs and paired bootstrap against references and under no difference."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from asr_kd.score.bootstrap import Estimate, estimate_ratios
from asr_kd.score.significance import bootstrap_p, holm, matched_pairs


def test_statistic_is_that_of_paired_differences() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.poisson(0.5, size=200), rng.poisson(0.6, size=200)
    found = matched_pairs(a, b)
    assert found.z == pytest.approx(stats.ttest_rel(a, b).statistic)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.z)))


def test_equal_systems_are_not_told_apart() -> None:
    errors = np.array([0, 1, 2, 0])
    assert matched_pairs(errors, errors).p == 1.0
    assert bootstrap_p(Estimate(0.0, np.zeros(999))) == 1.0


def test_a_constant_difference_of_few_segments_is_not_certain() -> None:
    assert matched_pairs([1, 1], [0, 0]).p == 0.5
    assert matched_pairs([1, 1, 1], [0, 0, 0]).p == 0.25
    assert matched_pairs([1] * 40, [0] * 40).p == 0.0


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=8))
def test_the_p_value_of_few_segments_is_that_of_all_their_signs(differences: list[int]) -> None:
    d = np.array(differences)
    signs = np.array(list(itertools.product([1, -1], repeat=len(d))))
    as_large = np.abs(signs @ d) >= abs(d.sum())
    assert matched_pairs(d, np.zeros(len(d))).p == pytest.approx(as_large.mean())


def test_both_tests_cry_wolf_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    alarms = np.zeros(2)
    for _ in range(300):
        hardness = rng.beta(1, 9, size=150)
        a, b = rng.binomial(5, hardness), rng.binomial(5, hardness)
        words = np.full(150, 5)
        found = estimate_ratios({"a": (a, words), "b": (b, words)}, num_samples=300, rng=rng)
        alarms += [matched_pairs(a, b).p < 0.05, bootstrap_p(found["a"].minus(found["b"])) < 0.05]
    assert (alarms / 300 > 0.02).all()
    assert (alarms / 300 < 0.09).all()


def test_bootstrap_never_claims_more_than_its_samples_allow() -> None:
    assert bootstrap_p(Estimate(1.0, np.ones(999))) == 2 / 1000


def test_holm_takes_each_p_by_the_tests_that_are_left() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_never_claims_more(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(p <= a <= min(1.0, len(ps) * p) + 1e-12 for p, a in zip(ps, adjusted, strict=True))
    assert sorted(range(len(ps)), key=lambda i: (adjusted[i], ps[i])) == sorted(range(len(ps)), key=lambda i: ps[i])
