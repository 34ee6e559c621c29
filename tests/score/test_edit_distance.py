"""Edit distances of many hypotheses at once, against a package that takes them one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from asr_kd.score.edit_distance import edit_distances, least_risk, oracle_error_rate

words = st.lists(st.sampled_from("ABCD"), max_size=8)


@settings(max_examples=100, deadline=None)
@given(words, st.lists(words, min_size=1, max_size=6))
def test_the_distances_are_those_of_levenshtein(reference: list[str], hypotheses: list[list[str]]) -> None:
    expected = [Levenshtein.distance(reference, hypothesis) for hypothesis in hypotheses]
    assert edit_distances(reference, hypotheses).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(words, st.floats(0, 5)), min_size=1, max_size=6))
def test_the_least_risk_is_that_of_the_definition(rows: list[tuple[list[str], float]]) -> None:
    hypotheses, costs = [row[0] for row in rows], np.array([row[1] for row in rows])
    probabilities = np.exp(-costs) / np.exp(-costs).sum()
    risks = [
        sum(p * Levenshtein.distance(other, one) for p, other in zip(probabilities, hypotheses, strict=True))
        for one in hypotheses
    ]
    assert abs(risks[least_risk(hypotheses, costs)] - min(risks)) < 1e-6


def test_many_that_agree_in_part_outweigh_the_likeliest() -> None:
    hypotheses = [["A", "B"], ["C", "D"], ["C", "E"], ["C", "F"]]
    assert least_risk(hypotheses, [0.0, 0.1, 0.1, 0.1]) == 1
    assert least_risk(hypotheses, [0.0, 9.0, 9.0, 9.0]) == 0


def test_the_oracle_takes_the_best_of_each_utterance_and_deletes_where_there_is_none() -> None:
    reference = {"u1": ("A", "B"), "u2": ("A", "B", "C")}
    assert oracle_error_rate(reference, {"u1": np.array([2, 1, 3])}) == (1 + 3) / 5
