"""The report's figures where the test set lacks what they would be of."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asr_kd.frames.store import FrameStore
from asr_kd.score.bootstrap import Estimate
from asr_kd.specialists.page import render_specialists
from asr_kd.specialists.plot import plot_specialists
from asr_kd.specialists.results import Scored, _relative, build_results
from asr_kd.specialists.scoring import Scores, System, TeamScores
from asr_kd.specialists.subset import Subset

PDFS = 6
SEEN, UNSEEN = (0, 1), (4, 5)


@pytest.fixture
def results(make_store: Callable[..., FrameStore]) -> dict[str, Any]:
    """Of two specialists; no frame is of the second one's states."""
    store = make_store([10] * 12)
    labels = np.tile(np.arange(4), 30)
    right = np.random.default_rng(1).random(120) < 0.5
    scores = Scores(right, np.where(right, 0.1, 2.0).astype(np.float32))
    alone = {("dustbin", number): scores for number in (0, 1)}
    rightly = np.random.default_rng(2).random(120) < 0.6
    other = Scores(rightly, np.where(rightly, 0.1, 2.0).astype(np.float32))
    systems = {System("generalist"): scores, System("dustbin", 1): scores, System("trained on"): other}
    scored = Scored("frames", store, labels, TeamScores(systems, alone, alone))
    team: Any = [
        SimpleNamespace(path=Path(f"made/{number}"), subset=Subset(pdfs, PDFS), meta={"oversampling": 2.0})
        for number, pdfs in enumerate([SEEN, UNSEEN])
    ]
    models = {"generalist": 1, "dustbin": 3, "trained on": 1}
    found = build_results(scored, scored, scored, {"dustbin": team}, num_models=models, num_samples=200, seed=1)
    return {"recipe": "tones", "protocol": ""} | found


def test_a_specialist_without_a_test_frame_has_no_figures_on_its_states(results: dict[str, Any]) -> None:
    seen, unseen = json.loads(json.dumps(results["specialists"], allow_nan=False))
    assert (unseen["share_of_frames"], unseen["generalist"], unseen["fused"], unseen["gain_ci"]) == (
        0,
        None,
        None,
        None,
    )
    for part in ("test", "train"):
        assert unseen[part]["accuracy_inside_before"] is unseen[part]["accuracy_inside_after"] is None
        assert unseen[part]["cross_entropy_after"] == seen[part]["cross_entropy_after"] > 0
        assert 0 < seen[part]["accuracy_inside_before"] < 1
    assert seen["gain_ci"] == [0.0, 0.0]


def test_where_the_generalist_has_nothing_right_there_is_no_relative_change() -> None:
    none, some = (Estimate(value, np.full(3, value)) for value in (0.0, 0.5))
    assert _relative(some, none) is None
    assert _relative(some, Estimate(0.5, np.array([0.5, 0.0, 1.0]))) is None
    same = _relative(some, some)
    assert same is not None and (same.value, same.samples_B.tolist()) == (0.0, [0.0] * 3)


def test_without_a_relative_change_page_and_plot_say_so(results: dict[str, Any], tmp_path: Path) -> None:
    for row in results["coverage"]:
        row["relative_change"] = row["relative_change_ci"] = None
    plot_specialists(results, tmp_path / "gain.png")
    assert "| - |" in render_specialists(results)


def test_what_is_not_there_is_a_dash_on_the_page(results: dict[str, Any]) -> None:
    page = render_specialists(results)
    assert "nan" not in page
    (row,) = [line for line in page.splitlines() if line.startswith("| dustbin 1 |")]
    assert row.split(" | ")[2:8] == ["0.0", "-", "-", "-", "-", "-"]


def test_systems_on_the_same_frames_are_compared_in_pairs(results: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in results["systems"]}
    assert rows["dustbin"]["over"] == {}
    assert rows["trained on"]["over"].keys() == {"generalist"}
    over = rows["trained on"]["over"]["generalist"]
    assert over["frame_accuracy"] == rows["trained on"]["gain"]
    assert over["frame_accuracy_ci"] == list(rows["trained on"]["gain_ci"])


def test_the_page_compares_with_the_generalist_trained_on(results: dict[str, Any]) -> None:
    page = render_specialists(results)
    control = next(row for row in results["systems"] if row["name"] == "trained on")
    assert (
        f"Over the generalist trained on for as long: **a loss**, {100 * control['chosen_over_it']:+.2f} points" in page
    )
    results["systems"].remove(control)
    assert "for as long: " not in render_specialists(results)


def test_the_page_says_what_was_clustered_and_what_was_distilled(results: dict[str, Any]) -> None:
    assert "Clusters of" not in render_specialists(results) and "learnt from" not in render_specialists(results)
    told = {
        "clusters": {"matrix": "correlation", "temperature": 4.0},
        "distilled": {"name": "regularized", "num_best": 2},
    }
    page = render_specialists(results | told)
    assert (
        "Clusters of the correlation of the generalist's predictions at T = 4 (the paper: of their covariance)." in page
    )
    assert "The students learnt from regularized specialists, n = 2." in page
    assert "(the paper's)" in render_specialists(results | {"clusters": {"matrix": "covariance", "temperature": 1.0}})
