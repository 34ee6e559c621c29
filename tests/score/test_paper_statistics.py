"""The statistics behind the paper's page: the interval of a share, and which share of the data is the paper's."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from asr_kd.score.paper import figures
from asr_kd.score.paper.claims import wilson
from asr_kd.score.paper.part_of_data import part_of_data_part
from asr_kd.score.regularizer import load_partial_runs, regularizer_results

from .made_results import plain
from .test_regularizer import Experiment


@given(number=st.integers(1, 10_000), share=st.floats(0, 1))
@settings(max_examples=30)
def test_the_interval_of_a_share_is_scipys(number: int, share: float) -> None:
    cases = round(share * number)
    expected = stats.binomtest(cases, number).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson(cases / number, number) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_claims_are_of_the_share_nearest_to_the_papers_by_ratio(tmp_path: Path) -> None:
    assert figures.FRACTION == 0.03  # half of it is farther off than 0.05, though nearer by difference
    made = Experiment(tmp_path)
    for seed in (1, 2):
        made.add("hard", 1.0, seed, 0.6, dev=[0.6])
        for fraction in (0.015, 0.05):
            made.add("early", fraction, seed, 0.4, early=2, dev=[0.4])
            made.add("soft", fraction, seed, 0.5, dev=[0.5])
    systems = load_partial_runs(made.models, made.evaluated, [])
    part = part_of_data_part(plain(regularizer_results(systems, full="hard", hard="early", num_samples=50, seed=1)))
    assert {claim.about for claim in part.claims} == {"soft, 5 % of the data"}
