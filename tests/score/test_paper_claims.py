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
    WEAKER,
    Claim,
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
from asr_kd.score.paper.kept import Said, verdicts
from asr_kd.score.paper.part_of_data import part_of_data_part
from asr_kd.score.paper.recognition import recognition_part
from asr_kd.score.paper.special import NO_MORE, distilled_back_part
from asr_kd.score.paper.table import NO_SHARE, Row, share_row
from asr_kd.score.paper.temperatures import image_sweep_part, speech_sweep_part

from .made_results import ERRORS, here, images, regularizer, specialists, sweep, verdict
from .test_ledger_results import results as ledger_results
from .test_ledger_results import sums
from .test_results import score

Make = Callable[..., Path]
Stores = Callable[..., FrameStore]

ENDS = st.tuples(st.floats(-3, 3), st.floats(-3, 3)).map(lambda ends: (min(ends), max(ends)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs on images lie: each is written once."""
    return tmp_path_factory.mktemp("images")


@settings(max_examples=200)
@given(ENDS, st.floats(0.01, 2))
def test_what_holds_reaches_the_papers_figure_and_what_falls_short_is_weaker(
    ci: tuple[float, float], paper: float
) -> None:
    low, high = ci
    gain, share = judge_gain(ci, paper), judge_share(ci, paper)
    assert (gain == HOLDS) == (share == HOLDS) == (low >= 0.75 * paper and high >= paper)
    assert (judge_share(ci, paper, least=1) == HOLDS) == (low >= paper)
    assert (gain == WEAKER) == (share == WEAKER) == (low > 0 and high < paper)
    assert (gain == DIFFERS) == (high < 0)
    assert (share == DIFFERS) == (low <= 0 and high < paper)


def test_half_of_what_the_paper_kept_is_not_its_pattern() -> None:
    assert judge_share((0.45, 0.55), 0.8) == WEAKER == "same direction, weaker"
    assert judge_share((0.75, 0.85), 0.8) == HOLDS
    assert judge_share((0.75, 0.85), 0.8, least=1) == OPEN


def test_a_share_of_less_than_nothing_of_a_gain_is_a_dash_with_a_note() -> None:
    assert share_row("x: share, %", -57.1, (-60, -55), std=1.0).cells() == [
        f"x: share, % ({NO_SHARE})",
        *"--",
        "",
        "",
        "",
    ]
    assert share_row("x: share, %", -0.94, (-1.02, -0.86)).cells()[2] == "-94"


@pytest.mark.parametrize(("about", "detail"), [("", ""), ("soft, ensemble", "3.5 points. More (or less); twice")])
def test_a_claims_line_is_read_again(about: str, detail: str) -> None:
    claim = Claim(
        statement=figures.PART,
        verdict=NO_MORE,
        about=about,
        paper="+2.2 points",
        here="1.5 % [0.1, 2.0]",
        detail=detail,
    )
    said = Said(figures.PART, about, "+2.2 points", "1.5 % [0.1, 2.0]", NO_MORE)
    assert list(verdicts(f"Text.\n\n{claim.line()}\n{claim.line()}")) == [said, said]


def test_a_line_by_earlier_rules_is_read_without_its_figures() -> None:
    line = f"- **holds in pattern**: {figures.STUDENT.text}. Here 50 % [45, 55] kept."
    assert list(verdicts(line)) == [Said(figures.STUDENT, "", "-", "-", "holds in pattern (earlier rules)")]


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
    assert worst([HOLDS, WEAKER, HOLDS]) == WEAKER
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
        ({"no_3s_corrected": 900, "no_3s": 3000}, figures.UNSEEN, WEAKER),
        ({"no_3s_corrected": 3000, "no_3s": 3000}, figures.UNSEEN, OPEN),
        ({"no_3s_corrected": 9000, "no_3s": 6000}, figures.UNSEEN, DIFFERS),
        ({"no_3s_corrected": 500, "no_3s": 206}, figures.FEWER_ERRORS, DIFFERS),
        ({"no_3s_corrected": 109, "no_3s": 900}, figures.FEWER_ERRORS, HOLDS),
        ({"no_3s_corrected": 206, "no_3s": 206}, figures.FEWER_ERRORS, OPEN),
        ({}, figures.TWO_DIGITS, HOLDS),
        ({"only_7s_8s_corrected": 4000}, figures.TWO_DIGITS, WEAKER),
        ({"only_7s_8s_corrected": 6000}, figures.TWO_DIGITS, DIFFERS),
        ({"matched_logits": 118}, figures.LIMIT, DIFFERS),
        ({"matched_logits": 85}, figures.LIMIT, WEAKER),
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
    assert gap.detail.endswith("On mixtures of two images 30.0 wrong, 90 % [85, 98] of the gap")


def test_logits_that_match_are_told_apart_from_t_1000_by_the_spread_over_seeds(runs: Path) -> None:
    results = images(runs, ERRORS)
    rows = {row["name"]: row for row in results["systems"]}
    rows["T1000"] |= {"errors": 80.0, "errors_std": 3.0}
    rows["matched_logits"] |= {"errors": 78.0, "errors_std": 2.0}
    assert verdict(images_part(results), figures.LIMIT) == HOLDS


FLAT = {(300, 1.0): 0.03, (300, 8.0): 0.012, (300, 20.0): 0.0118, (300, 40.0): 0.0122}
NARROW = {(30, 1.0): 0.10, (30, 2.0): 0.09, (30, 3.0): 0.06, (30, 8.0): 0.08, (30, 20.0): 0.12}


@pytest.mark.parametrize(
    ("changed", "expected"), [({}, HOLDS), ({(300, 40.0): 0.018}, WEAKER), ({(300, 40.0): 0.05}, DIFFERS)]
)
def test_temperatures_of_wide_nets_are_flat_or_not(changed: dict[tuple[int, float], float], expected: str) -> None:
    part = image_sweep_part(sweep(FLAT | changed))
    assert verdict(part, figures.FLAT) == expected
    assert "at T = 8, 20, 40" in here(part, figures.FLAT)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, HOLDS),
        ({(30, 8.0): 0.0605}, OPEN),
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
    assert here(part, figures.PEAK).startswith(f"T = {best:g}, the best on dev;")
    assert f"T = {best:g}" in here(part, figures.PEAK)
    if best == 3:
        assert "T = 1 " in here(part, figures.PEAK) and "T = 20 " in here(part, figures.PEAK)


def test_one_seed_is_not_enough_to_say_that_a_temperature_is_best() -> None:
    assert verdict(image_sweep_part(sweep(NARROW, seeds=1)), figures.PEAK) == OPEN
    assert verdict(image_sweep_part(sweep(FLAT, seeds=1)), figures.FLAT) == OPEN


def test_a_temperature_that_is_best_on_dev_alone_does_not_differ_from_the_papers() -> None:
    narrow = image_sweep_part(on_test(sweep(NARROW | {(30, 8.0): 0.02}), 3.0, -0.01))
    assert verdict(narrow, figures.PEAK) == OPEN
    speech = sweep({(80, 1.0): 0.3, (80, 2.0): 0.4, (80, 5.0): 0.5, (80, 10.0): 0.7}, frames=5)
    assert verdict(speech_sweep_part(speech), figures.TEMPERATURE) == DIFFERS
    part = speech_sweep_part(on_test(speech, 2.0, -0.0002))
    assert verdict(part, figures.TEMPERATURE) == OPEN
    said = here(part, figures.TEMPERATURE)
    assert said.startswith("T = 1 (80 units, the best on dev); T = 2 is below it by +10.50 points [")
    assert "] on dev, by -0.02 points [-1.02, +0.98] on test" in said


def on_test(results: dict[str, Any], temperature: float, below: float) -> dict[str, Any]:
    """With another distance of the cells of a temperature from the best one, on test alone."""
    for cell in results["cells"]:
        if cell["temperature"] == temperature:
            cell["test"] |= {"below_best": below, "below_best_ci": [below - 0.01, below + 0.01]}
    return results


def test_a_sweep_without_wide_or_thirty_units_claims_nothing_of_them() -> None:
    assert image_sweep_part(sweep({(100, 1.0): 0.1, (100, 20.0): 0.05})).claims == []


@pytest.mark.parametrize(("two", "expected"), [(0.3, HOLDS), (0.398, OPEN), (0.402, OPEN), (0.6, DIFFERS)])
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
    [
        ((0.81, 0.9), HOLDS),
        ((0.7, 0.9), OPEN),
        ((0.45, 0.55), WEAKER),
        ((-0.2, 0.3), DIFFERS),
        ((-3.0, -2.0), DIFFERS),
        ((-0.1, 0.9), OPEN),
        (None, OPEN),
    ],
)
def test_the_share_a_student_keeps_is_judged_by_its_interval(
    make_experiment: Make, ci: tuple[float, float] | None, expected: str
) -> None:
    results = kept(score(make_experiment("exp")), "frame_accuracy", ci)
    assert verdict(recognition_part(results), figures.STUDENT) == expected


def test_what_students_learnt_from_is_said_so_that_not_all_is_taken_for_distillation(
    make_experiment: Make, tmp_path: Path
) -> None:
    results = score(make_experiment("exp"))
    plain = recognition_part(results).blocks[-1]
    assert "a student's gain is that of soft targets and of settings, where they differ" in plain
    assert "without transcripts" not in plain
    conf = tmp_path / "distilled.conf"
    conf.write_text(
        "--optimizer=muon  # faster\n--batch-size=4096\n--num-epochs=2\n--soft-weight=0.9\n--num-layers=4\n"
    )
    next(row for row in results["systems"] if row["name"] == "distilled")["conf"] = str(conf)
    results["corpus"] |= {"train_hours": 0.751, "extra_hours": 2.99, "test_hours": 2.3}
    note = recognition_part(results).blocks[-1]
    assert "learnt the labels of train (0.75 h), students" in note
    assert "The students also heard extra (2.99 h) without transcripts, which baseline and members did not." in note
    assert "By the conf files as they are now: distilled muon, batches of 4096, epochs: 2, soft weight 0.9." in note
    assert "that of soft targets, of more speech and of settings" in note


@pytest.mark.parametrize(("worse", "p", "expected"), [(0.01, 0.01, DIFFERS), (0.01, 0.2, OPEN), (-0.01, 0.01, OPEN)])
def test_a_student_worse_than_the_ensemble_has_not_kept_its_wer(
    make_experiment: Make, worse: float, p: float, expected: str
) -> None:
    results = kept(score(make_experiment("exp")), "wer", None)
    found = results["gain_kept"]["significance"]["distilled_vs_ensemble"]
    found |= {"wer_difference": worse, "matched_pairs_p": p, "bootstrap_p": p}
    assert verdict(recognition_part(results), figures.WORDS) == expected


def test_differences_of_systems_on_the_same_frames_are_paired_where_the_file_has_them(
    make_store: Stores, runs: Path
) -> None:
    made = images(runs, ERRORS | {"no_3s": 300, "no_3s_corrected": 150})
    results = specialists(make_store)
    for own, name, tell in (
        (made, "no_3s_corrected", lambda: here(images_part(made), figures.FEWER_ERRORS)),
        (results, "student of generalist + specialists", lambda: distilled_back_part(results).blocks[-1]),
    ):
        paired = tell()
        row = next(row for row in own["systems"] if row["name"] == name)
        other = "no_3s" if own is made else "student of generalist"
        low, high = row["over"][other]["frame_accuracy_ci"]
        ends = f"[{4000 * low:.1f}, {4000 * high:.1f}]" if own is made else f"[{100 * low:+.2f}, {100 * high:+.2f}]"
        assert ends in paired
        del row["over"]
        assert ends not in tell()


@pytest.mark.parametrize(
    ("soft", "dev", "expected"),
    [
        (0.58, (0.3, 0.5, 0.56), (HOLDS, HOLDS, HOLDS)),
        (0.52, (0.3, 0.5, 0.56), (WEAKER, WEAKER, HOLDS)),
        (0.40, (0.3, 0.5, 0.44), (DIFFERS, DIFFERS, DIFFERS)),
        (0.45, (0.3, 0.5, 0.47), (OPEN, DIFFERS, WEAKER)),
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
