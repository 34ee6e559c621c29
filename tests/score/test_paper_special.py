"""The claims of specialists, and of one model made of them, follow their figures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from asr_kd.frames.store import FrameStore
from asr_kd.score.paper import figures
from asr_kd.score.paper.claims import (
    DIFFERS,
    HOLDS,
    OPEN,
    WEAKER,
)
from asr_kd.score.paper.special import NO_CONTROL, NO_MORE, distilled_back_part, specialists_part

from .made_results import here, specialists, verdict

Make = Callable[..., Path]
Stores = Callable[..., FrameStore]


@pytest.mark.parametrize(
    ("gain", "trained_on", "expected"),
    [
        (0.2, 0.51, HOLDS),
        (0.2, 0.6, NO_MORE),
        (0.2, 0.8, DIFFERS),
        (0.02, 0.5, WEAKER),
        (0.0, 0.51, OPEN),
        (-0.2, 0.51, DIFFERS),
    ],
)
def test_specialists_help_where_they_bring_more_than_training_on(
    make_store: Stores, gain: float, trained_on: float, expected: str
) -> None:
    part = specialists_part(specialists(make_store, gain=gain, trained_on=trained_on))
    assert verdict(part, figures.SPECIALISTS) == expected
    assert "the generalist trained on as long has " in here(part, figures.SPECIALISTS)
    grows = {0.2: (HOLDS, WEAKER), 0.02: (HOLDS, WEAKER, OPEN), 0.0: (OPEN,), -0.2: (DIFFERS,)}
    assert verdict(part, figures.COVERAGE) in grows[gain]


def test_specialists_without_that_control_have_shown_nothing(make_store: Stores) -> None:
    results = specialists(make_store, gain=0.2)
    results["systems"] = [row for row in results["systems"] if row["name"] != "trained on"]
    assert verdict(specialists_part(results), figures.SPECIALISTS) == NO_CONTROL


def test_the_control_is_compared_by_the_paired_interval(make_store: Stores) -> None:
    results = specialists(make_store, gain=0.2, trained_on=0.59)
    control = next(row for row in results["systems"] if row["name"] == "trained on")
    low, high = control["chosen_over_it_ci"]
    assert f"the specialists over it +0.30 points [{100 * low:+.2f}, {100 * high:+.2f}]" in here(
        specialists_part(results), figures.SPECIALISTS
    )


def test_a_difference_of_relative_changes_is_not_called_points(make_store: Stores) -> None:
    said = here(specialists_part(specialists(make_store)), figures.COVERAGE)
    assert "points" not in said and " % [" in said


def test_table_4_has_all_of_the_papers_rows(make_store: Stores) -> None:
    table = specialists_part(specialists(make_store)).blocks[-1]
    for number, paper in enumerate(
        ["+0", "+3.4", "+7.4", "+8.8", "+10.5", "+11.1", "+11.3", "+12.8", "+13.6", "+16.6"]
    ):
        assert f"| {number} specialist" in table and f" | {paper} | " in table
    assert "| 10 or more specialists | +14.1 | - |" in table


def test_what_was_clustered_is_said(make_store: Stores) -> None:
    results = specialists(make_store)
    assert "the correlation of predictions at T = 4 (the paper: of their covariance)" in specialists_part(results).facts
    del results["clusters"]
    assert "What was clustered is not in `results.json`" in specialists_part(results).facts


def test_images_are_not_called_frames(make_store: Stores) -> None:
    part = specialists_part(specialists(make_store, lengths=[1] * 1000))
    assert part.facts.startswith(
        "1,000 test images, 10 classes. Dustbin specialists, asked by the generalist's best class"
    )
    assert "frames" not in "".join(part.blocks) and "(4 classes, 400 images)" in part.blocks[-1]
    assert specialists_part(specialists(make_store)).facts.startswith("1,000 labelled frames of 50 test utterances")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [((0.0, 0.03, 0.07), HOLDS), ((0.0, 0.08, 0.07), WEAKER), ((0.07, 0.03, 0.0), DIFFERS), ((0.0, 0.0, 0.01), OPEN)],
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
    ("students", "told"), [((0.52, 0.7), "above"), ((0.7, 0.52), "below"), ((0.52, 0.521), "not told from")]
)
def test_one_model_from_generalist_and_specialists_is_told_from_that_without(
    make_store: Stores, students: tuple[float, float], told: str
) -> None:
    assert f"**{told}** it" in distilled_back_part(specialists(make_store, students=students)).blocks[-1]


def test_students_that_differ_by_no_more_than_their_seeds_are_not_told_apart(make_store: Stores) -> None:
    results = specialists(make_store, students=(0.52, 0.7))
    for row in results["systems"]:
        if "student" in row["name"]:
            row |= {"runs": 2, "frame_accuracy_std": 0.09}
    said = distilled_back_part(results).blocks[-1]
    assert "**not told from** it, by +18.00 points" in said and said.endswith("standard error over seeds 9.00.")


def test_the_teacher_is_the_fusion_that_was_distilled_not_the_one_chosen_on_dev(make_store: Stores) -> None:
    results = specialists(make_store)
    table = distilled_back_part(results).blocks[0]
    rows = {row["num_best"]: 100 * row["frame_accuracy"] for row in results["systems"]}
    assert rows[1] > rows[2]
    assert f"| generalist + dustbin specialists, n = 2 (distilled), % | - | {rows[2]:.2f} |" in table
    assert f"| generalist + dustbin specialists, n = 1 (chosen on dev), % | - | {rows[1]:.2f} |" in table
    results["distilled"] = results["chosen_on_dev"]
    table = distilled_back_part(results).blocks[0]
    assert "n = 1 (distilled, chosen on dev), %" in table and "n = 2" not in table
    del results["distilled"]
    part = distilled_back_part(results)
    assert "(distilled" not in part.blocks[0] and "is not in `results.json`" in part.blocks[1]
