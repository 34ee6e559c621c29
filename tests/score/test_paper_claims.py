"""Verdicts follow the figures: the rules, and each claim turned round by other figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.frames.store import FrameStore
from asr_kd.score.paper import figures
from asr_kd.score.paper.beyond import ledger_part
from asr_kd.score.paper.claims import (
    DIFFERS,
    HOLDS,
    OPEN,
    PATTERN,
    difference,
    judge_gain,
    judge_share,
    ratio,
    sign,
    wilson,
    worst,
)
from asr_kd.score.paper.figures import Statement
from asr_kd.score.paper.images import images_part
from asr_kd.score.paper.part_of_data import part_of_data_part
from asr_kd.score.paper.recognition import recognition_part
from asr_kd.score.paper.special import distilled_back_part, specialists_part
from asr_kd.score.paper.table import Part, Row
from asr_kd.score.paper.temperatures import image_sweep_part, speech_sweep_part

from .made_results import ERRORS, images, regularizer, specialists, sweep
from .test_ledger_results import results as ledger_results
from .test_ledger_results import sums
from .test_results import score

Make = Callable[..., Path]
Stores = Callable[..., FrameStore]

ENDS = st.tuples(st.floats(-3, 3), st.floats(-3, 3)).map(lambda ends: (min(ends), max(ends)))


def verdict(part: Part, statement: Statement) -> str:
    (claim,) = (claim for claim in part.claims if claim.statement == statement)
    return claim.verdict


def here(part: Part, statement: Statement) -> str:
    (claim,) = (claim for claim in part.claims if claim.statement == statement)
    return claim.here


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs on images lie: each is written once."""
    return tmp_path_factory.mktemp("images")


@settings(max_examples=200)
@given(ENDS, st.floats(0.01, 2))
def test_a_gain_is_judged_by_the_side_of_its_interval_and_a_share_by_its_size(
    ci: tuple[float, float], paper: float
) -> None:
    low, high = ci
    gain, share = judge_gain(ci, paper), judge_share(ci, paper)
    assert (gain == DIFFERS) == (high < 0)
    assert (gain in (HOLDS, PATTERN)) == (low > 0)
    assert (gain == HOLDS) == (low >= paper / 2 and high >= paper) == (share == HOLDS)
    assert (share == DIFFERS) == (high < paper and low < paper / 2)
    assert (share == PATTERN) == (paper / 2 <= low and high < paper)


@given(st.integers(1, 2000), st.floats(0, 1))
def test_wilsons_interval_is_never_empty_and_holds_its_share(number: int, share: float) -> None:
    low, high = wilson(share, number)
    assert -1e-9 <= low < high <= 1 + 1e-9
    assert low - 1e-9 <= share <= high + 1e-9


@given(ENDS, ENDS, st.floats(0, 1), st.floats(0, 1))
def test_intervals_of_differences_and_ratios_hold_those_of_any_two_values(
    a: tuple[float, float], b: tuple[float, float], one: float, other: float
) -> None:
    x, y = (ends[0] + part * (ends[1] - ends[0]) for ends, part in ((a, one), (b, other)))
    low, high = difference(a, b)
    assert low - 1e-9 <= x - y <= high + 1e-9
    a, b = ((ends[0] + 3.5, ends[1] + 3.5) for ends in (a, b))
    low, high = ratio(a, b)
    assert low - 1e-9 <= (x + 3.5) / (y + 3.5) <= high + 1e-9


def test_the_worst_verdict_counts() -> None:
    assert worst([HOLDS, PATTERN, HOLDS]) == PATTERN
    assert worst([DIFFERS, OPEN]) == DIFFERS
    assert sign((-1, 1)) == OPEN


def test_the_shares_of_the_paper_are_those_it_gives_in_words() -> None:
    assert round(100 * figures.GAP_CLOSED) == 91
    assert figures.KEPT > figures.KEPT_AT_LEAST and round(100 * figures.KEPT) == 86
    assert round(100 * figures.SPECIALISTS_GAIN, 1) == 4.4
    assert (round(100 * figures.SHARE_OF_FULL), round(100 * figures.RECOVERED)) == (97, 87)
    assert round(1 - figures.ERRORS_ON_THREES["no_3s_corrected"] / figures.THREES, 3) == figures.THREES_RIGHT


def test_a_row_has_no_cell_for_what_is_not_known() -> None:
    assert Row(what="x", value=None).cells() == ["x", "-", "-", "", "", ""]
    assert Row(what="x", paper=0.589, value=0.5, std=0.01, ci=(0.4, 0.6), seeds=2).cells() == [
        *("x", "58.9", "50.00", "± 1.00", "[40.00, 60.00]", "2")
    ]


@pytest.mark.parametrize(
    ("changed", "statement", "expected"),
    [
        ({}, figures.GAP, HOLDS),
        ({"distilled": 145}, figures.GAP, DIFFERS),
        ({"distilled": 700}, figures.GAP, DIFFERS),
        ({"distilled": 700, "distilled_mixed": 75}, figures.GAP, DIFFERS),
        ({"big": 900, "small": 146}, figures.GAP, DIFFERS),
        ({"big": 145, "distilled": 145}, figures.GAP, OPEN),
        ({}, figures.UNSEEN, HOLDS),
        ({"no_3s_corrected": 900, "no_3s": 3000}, figures.UNSEEN, PATTERN),
        ({"no_3s_corrected": 6000, "no_3s": 9000}, figures.UNSEEN, DIFFERS),
        ({"no_3s_corrected": 500, "no_3s": 206}, figures.FEWER_ERRORS, DIFFERS),
        ({"no_3s_corrected": 109, "no_3s": 900}, figures.FEWER_ERRORS, HOLDS),
        ({"no_3s_corrected": 206, "no_3s": 206}, figures.FEWER_ERRORS, OPEN),
        ({}, figures.TWO_DIGITS, HOLDS),
        ({"only_7s_8s_corrected": 4000}, figures.TWO_DIGITS, PATTERN),
        ({"only_7s_8s_corrected": 6000}, figures.TWO_DIGITS, DIFFERS),
        ({"matched_logits": 118}, figures.LIMIT, DIFFERS),
        ({"matched_logits": 85}, figures.LIMIT, PATTERN),
    ],
)
def test_the_claims_of_mnist_follow_its_errors(
    runs: Path, changed: dict[str, int], statement: Statement, expected: str
) -> None:
    part = images_part(images(runs, ERRORS | changed))
    assert verdict(part, statement) == expected
    assert len(part.claims) == 5


def test_what_mixtures_close_of_the_gap_is_said(runs: Path) -> None:
    part = images_part(images(runs, ERRORS | {"distilled_mixed": 75}))
    (gap,) = (claim for claim in part.claims if claim.statement == figures.GAP)
    assert gap.here.endswith("On mixtures of two images 30.0 wrong, 90 % [85, 98] of the gap")


def test_logits_that_match_are_told_apart_from_t_1000_by_the_spread_over_seeds(runs: Path) -> None:
    results = images(runs, ERRORS)
    rows = {row["name"]: row for row in results["systems"]}
    rows["T1000"] |= {"errors": 80.0, "errors_std": 3.0}
    rows["matched_logits"] |= {"errors": 78.0, "errors_std": 2.0}
    assert verdict(images_part(results), figures.LIMIT) == HOLDS


FLAT = {(300, 1.0): 0.03, (300, 8.0): 0.012, (300, 20.0): 0.0118, (300, 40.0): 0.0122}
NARROW = {(30, 1.0): 0.10, (30, 2.0): 0.09, (30, 3.0): 0.06, (30, 8.0): 0.08, (30, 20.0): 0.12}


@pytest.mark.parametrize(
    ("changed", "expected"), [({}, HOLDS), ({(300, 40.0): 0.018}, PATTERN), ({(300, 40.0): 0.05}, DIFFERS)]
)
def test_temperatures_of_wide_nets_are_flat_or_not(changed: dict[tuple[int, float], float], expected: str) -> None:
    part = image_sweep_part(sweep(FLAT | changed))
    assert verdict(part, figures.FLAT) == expected
    assert "at T = 8, 20, 40" in here(part, figures.FLAT)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, HOLDS),
        ({(30, 8.0): 0.0605}, PATTERN),
        ({(30, 8.0): 0.02}, DIFFERS),
        ({(30, 8.0): 0.0595}, OPEN),
    ],
)
def test_the_best_temperature_of_a_narrow_net_is_where_it_is(
    changed: dict[tuple[int, float], float], expected: str
) -> None:
    part = image_sweep_part(sweep(NARROW | changed))
    assert verdict(part, figures.PEAK) == expected
    best = min(NARROW | changed, key=(NARROW | changed).__getitem__)[1]
    assert f"the best on dev is T = {best:g}" in here(part, figures.PEAK)
    if expected in (HOLDS, PATTERN):
        assert "T = 1 " in here(part, figures.PEAK) and "T = 20 " in here(part, figures.PEAK)


def test_one_seed_is_not_enough_to_say_that_a_temperature_is_best() -> None:
    assert verdict(image_sweep_part(sweep(NARROW, seeds=1)), figures.PEAK) == PATTERN
    assert verdict(image_sweep_part(sweep(FLAT, seeds=1)), figures.FLAT) == PATTERN


def test_a_sweep_without_wide_or_thirty_units_claims_nothing_of_them() -> None:
    assert image_sweep_part(sweep({(100, 1.0): 0.1, (100, 20.0): 0.05})).claims == []


@pytest.mark.parametrize(("two", "expected"), [(0.3, HOLDS), (0.398, PATTERN), (0.402, OPEN), (0.6, DIFFERS)])
def test_the_temperature_of_speech_is_compared_with_the_papers_best(two: float, expected: str) -> None:
    wrong = {(80, 1.0): 0.5, (80, 2.0): two, (80, 5.0): 0.4, (80, 10.0): 0.7}
    assert verdict(speech_sweep_part(sweep(wrong, frames=5)), figures.TEMPERATURE) == expected


def kept(results: dict[str, Any], metric: str, ci: tuple[float, float] | None) -> dict[str, Any]:
    share = None if ci is None else sum(ci) / 2
    gain = {metric: share, f"{metric}_ci": ci, f"{metric}_std": None}
    results["gain_kept"] |= gain
    results["gain_kept"]["reason"] |= {metric: "within noise"} if ci is None else {}
    return results


@pytest.mark.parametrize(
    ("ci", "expected"),
    [((0.7, 0.9), HOLDS), ((0.45, 0.55), PATTERN), ((0.2, 0.3), DIFFERS), ((0.1, 0.9), OPEN), (None, OPEN)],
)
def test_the_share_a_student_keeps_is_judged_by_its_interval(
    make_experiment: Make, ci: tuple[float, float] | None, expected: str
) -> None:
    results = kept(score(make_experiment("exp")), "frame_accuracy", ci)
    assert verdict(recognition_part(results), figures.STUDENT) == expected


@pytest.mark.parametrize(("worse", "p", "expected"), [(0.01, 0.01, DIFFERS), (0.01, 0.2, OPEN), (-0.01, 0.01, OPEN)])
def test_a_student_worse_than_the_ensemble_has_not_kept_its_wer(
    make_experiment: Make, worse: float, p: float, expected: str
) -> None:
    results = kept(score(make_experiment("exp")), "wer", None)
    found = results["gain_kept"]["significance"]["distilled_vs_ensemble"]
    found |= {"wer_difference": worse, "matched_pairs_p": p, "bootstrap_p": p}
    assert verdict(recognition_part(results), figures.WORDS) == expected


@pytest.mark.parametrize(("gain", "expected"), [(0.2, HOLDS), (0.04, PATTERN), (0.0, OPEN), (-0.2, DIFFERS)])
def test_specialists_help_or_do_not(make_store: Stores, gain: float, expected: str) -> None:
    part = specialists_part(specialists(make_store, gain=gain))
    assert verdict(part, figures.SPECIALISTS) in ((HOLDS, PATTERN) if expected == PATTERN else (expected,))
    assert "trained on as long" in here(part, figures.SPECIALISTS)
    assert verdict(part, figures.COVERAGE) in ((OPEN,) if gain == 0 else (DIFFERS,) if gain < 0 else (HOLDS, PATTERN))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [((0.0, 0.03, 0.07), HOLDS), ((0.0, 0.08, 0.07), PATTERN), ((0.07, 0.03, 0.0), DIFFERS), ((0.0, 0.0, 0.01), OPEN)],
)
def test_the_gain_grows_with_the_specialists_that_cover_a_class_or_does_not(
    make_store: Stores, changes: tuple[float, ...], expected: str
) -> None:
    results = specialists(make_store)
    for row, change in zip(results["coverage"], changes, strict=True):
        row |= {"relative_change": change, "relative_change_ci": [change - 0.01, change + 0.01]}
    assert verdict(specialists_part(results), figures.COVERAGE) == expected
    results["coverage"] = results["coverage"][:1]
    assert verdict(specialists_part(results), figures.COVERAGE) == OPEN


@pytest.mark.parametrize(
    ("students", "told"), [((0.52, 0.7), "above"), ((0.7, 0.52), "below"), ((0.52, 0.53), "not told from")]
)
def test_one_model_from_generalist_and_specialists_is_told_from_that_without(
    make_store: Stores, students: tuple[float, float], told: str
) -> None:
    assert f"**{told}** it" in distilled_back_part(specialists(make_store, students=students)).blocks[-1]


@pytest.mark.parametrize(
    ("soft", "dev", "expected"),
    [
        (0.58, (0.3, 0.5, 0.56), (HOLDS, HOLDS, HOLDS)),
        (0.52, (0.3, 0.5, 0.56), (PATTERN, PATTERN, HOLDS)),
        (0.40, (0.3, 0.5, 0.44), (DIFFERS, DIFFERS, DIFFERS)),
        (0.45, (0.3, 0.5, 0.47), (OPEN, DIFFERS, PATTERN)),
    ],
)
def test_soft_targets_on_a_part_of_the_data_do_what_their_figures_say(
    tmp_path: Path, soft: float, dev: tuple[float, ...], expected: tuple[str, ...]
) -> None:
    part = part_of_data_part(regularizer(tmp_path, soft=soft, dev=dev))
    statements = (figures.PART, figures.REGAINED, figures.NO_STOPPING)
    assert tuple(verdict(part, statement) for statement in statements) == expected


def test_an_ensemble_of_members_that_agree_gains_nothing() -> None:
    assert "not above noise" in ledger_part(ledger_results(sums(independence=0.0))).blocks[-1]
    assert "of 4 members bring" in ledger_part(ledger_results(sums())).blocks[-1]
