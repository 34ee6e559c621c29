"""The ledger's figures: what holds between them, their intervals, the page and the chart."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from asr_kd.score.ledger import Ledger, frame_ledger, member_subsets, sum_by_utterance
from asr_kd.score.ledger_page import render_ledger
from asr_kd.score.ledger_plot import plot_gain
from asr_kd.score.ledger_results import build_ledger

NUM_MEMBERS, NUM_UTTERANCES, NUM_FRAMES, NUM_PDFS = 4, 60, 1800, 12
STUDENTS = ("distilled-11", "distilled-12", "small-11")


def sums(*, independence: float = 2.0, seed: int = 5) -> Ledger:
    """Members that err apart around a common opinion, two students near their mean and a poor one."""
    rng = np.random.default_rng(seed)
    common = 3 * rng.standard_normal((NUM_FRAMES, NUM_PDFS))
    labels = np.where(rng.random(NUM_FRAMES) < 0.7, common.argmax(axis=1), rng.integers(NUM_PDFS, size=NUM_FRAMES))
    own = rng.standard_normal((NUM_MEMBERS, NUM_FRAMES, NUM_PDFS))
    logits = common + independence * own
    students = [logits.mean(axis=0) + 0.3 * rng.standard_normal(common.shape) for _ in range(2)]
    poor = common + 5 * rng.standard_normal(common.shape)
    subsets = member_subsets(NUM_MEMBERS, seed=1)
    ledger = frame_ledger(logits, labels, subsets, student_logits_SBP=np.stack([*students, poor]))
    utterances = np.sort(rng.integers(NUM_UTTERANCES, size=NUM_FRAMES))
    return sum_by_utterance([(utterances, ledger)], NUM_UTTERANCES + 1)  # the last one has no labelled frame


def results(ledger: Ledger) -> dict[str, Any]:
    found = build_ledger(
        ledger,
        member_subsets(NUM_MEMBERS, seed=1),
        members=[f"members/{number}" for number in range(1, NUM_MEMBERS + 1)],
        students=STUDENTS,
        speakers=[f"speaker-{number}" for number in range(NUM_UTTERANCES + 1)],
        num_samples=400,
        seed=1,
    )
    told = {
        "recipe": "made_up",
        "protocol": "held-out",
        "command": "./run.sh --experiment ledger",
        "frames": "frames/test",
        "num_pdfs": NUM_PDFS,
    }
    return json.loads(json.dumps(told | found))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return results(sums())


@pytest.fixture(scope="module")
def alike() -> dict[str, Any]:
    """Members that are all the same: there is nothing to gain."""
    return results(sums(independence=0.0))


def test_one_member_gains_nothing_and_all_of_them_are_the_ensemble(made: dict[str, Any]) -> None:
    first, *_, last = made["gain"]
    for mean in ("arithmetic", "geometric"):
        for metric in ("frame_accuracy", "cross_entropy"):
            assert first[mean][metric] == pytest.approx(made["mean_member"][metric])
            assert first[mean][f"{metric}_gain"] == pytest.approx(0, abs=1e-9)
            assert last[mean][metric] == made["means"][mean][metric]
            assert last[mean][f"{metric}_ci"] == made["means"][mean][f"{metric}_ci"]
    assert [row["subsets"] for row in made["gain"]] == [4, 6, 4, 1]


def test_the_mean_member_is_the_mean_of_the_members(made: dict[str, Any]) -> None:
    for metric in ("frame_accuracy", "cross_entropy"):
        own = [member[metric] for member in made["members"]]
        assert made["mean_member"][metric] == pytest.approx(np.mean(own))
        assert made["mean_member"][f"{metric}_std"] == pytest.approx(np.std(own, ddof=1))


def test_the_geometric_mean_and_the_mean_of_logits_are_one(made: dict[str, Any]) -> None:
    geometric, logits = made["means"]["geometric"], made["means"]["logits"]
    assert geometric["frame_accuracy"] == logits["frame_accuracy"]
    assert geometric["cross_entropy"] == pytest.approx(logits["cross_entropy"], abs=1e-6)


def test_the_shares_of_frames_fit_together(made: dict[str, Any]) -> None:
    right = made["right"]
    by = right["by_members"]
    assert sum(by) == pytest.approx(1)
    assert right["oracle"]["value"] == pytest.approx(1 - by[0])
    assert right["all"]["value"] == by[-1]
    assert right["all"]["value"] <= right["majority"]["value"] <= right["vote"]["value"] <= right["oracle"]["value"]
    assert np.dot(by, range(NUM_MEMBERS + 1)) / NUM_MEMBERS == pytest.approx(made["mean_member"]["frame_accuracy"])
    best = max(row["frame_accuracy"] for row in [*made["members"], *made["means"].values()])
    assert right["oracle"]["value"] > best


def test_disagreement_is_the_mean_of_a_symmetric_matrix(made: dict[str, Any]) -> None:
    matrix = np.array(made["disagreement"]["matrix"])
    np.testing.assert_array_equal(matrix, matrix.T)
    assert not matrix.diagonal().any()
    assert made["disagreement"]["value"] == pytest.approx(matrix[np.triu_indices(NUM_MEMBERS, 1)].mean())


def test_divergences_are_gains_and_differences_of_entropies(made: dict[str, Any]) -> None:
    told = {name: figure["value"] for name, figure in made["information"].items()}
    assert told["members_to_mean"] == pytest.approx(told["ensemble_entropy"] - told["member_entropy"])
    assert told["geometric_to_members"] == pytest.approx(-made["gain"][-1]["geometric"]["cross_entropy_gain"])
    assert all(value > 0 for value in told.values())


def test_the_headroom_is_the_gain_of_all_members(made: dict[str, Any]) -> None:
    head, mean = made["headroom"], made["means"]["arithmetic"]
    assert head["frame_accuracy_gain"] == made["gain"][-1]["arithmetic"]["frame_accuracy_gain"]
    low, high = head["frame_accuracy_gain_ci"]
    assert 0 < low < head["frame_accuracy_gain"] < high
    assert head["oracle_over_ensemble"] == pytest.approx(made["right"]["oracle"]["value"] - mean["frame_accuracy"])


def test_a_students_share_is_of_the_gain_and_its_seeds_are_pooled(made: dict[str, Any]) -> None:
    distilled, small = made["students"]
    assert [(row["name"], row["seeds"]) for row in made["students"]] == [("distilled", 2), ("small", 1)]
    for metric in ("frame_accuracy", "cross_entropy"):
        own = np.array([run[metric] for run in distilled["runs"]])
        before, after = made["mean_member"][metric], made["means"]["arithmetic"][metric]
        assert distilled[metric] == pytest.approx(own.mean())
        assert distilled[f"{metric}_share"] == pytest.approx((own.mean() - before) / (after - before))
        assert distilled[f"{metric}_share_std"] == pytest.approx(own.std(ddof=1) / abs(after - before))
        low, high = distilled[f"{metric}_share_ci"]
        assert low < distilled[f"{metric}_share"] < high
        assert small[f"{metric}_share"] < 0 and small[f"{metric}_std"] is None
    assert distilled["frame_accuracy_share"] > 0.5


def test_no_share_of_a_gain_that_is_noise_is_given(alike: dict[str, Any]) -> None:
    assert alike["headroom"]["frame_accuracy_gain"] == 0
    for row in alike["students"]:
        assert row["frame_accuracy_share"] is None and row["cross_entropy_share"] is None
        assert set(row["reason"]) == {"frame_accuracy", "cross_entropy"}
    assert "No share is given (`-`): the ensemble's gain in frame accuracy is not above noise." in render_ledger(alike)


def test_utterances_without_labelled_frames_do_not_count(made: dict[str, Any]) -> None:
    assert made["utterances"] <= NUM_UTTERANCES
    assert made["labelled_frames"] == NUM_FRAMES


def test_the_page_gives_every_member_size_and_student(made: dict[str, Any]) -> None:
    page = render_ledger(made)
    lines = page.splitlines()
    assert lines[0] == "# Ensemble ledger: made_up, held-out"
    assert "Remake with `./run.sh --experiment ledger`." in page
    first_cells = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    expected = {*(member["name"] for member in made["members"]), "mean member", "mean of logits", "2", "3", "4"}
    assert expected | {"distilled", "small"} <= set(first_cells)
    assert f"| distilled | 2 | **{100 * made['students'][0]['frame_accuracy']:.2f}** " in page
    assert "nan" not in page and "None" not in page


def test_every_row_of_a_table_has_as_many_cells_as_its_head(made: dict[str, Any]) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", render_ledger(made), re.MULTILINE)
    assert len(blocks) == 8
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize("which", ["made", "alike"])
def test_the_gain_becomes_a_picture(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    plot_gain(request.getfixturevalue(which), tmp_path / "gain.png")
    picture = matplotlib.image.imread(tmp_path / "gain.png")
    assert 0.01 < float((picture[..., :3] < 0.9).any(axis=-1).mean()) < 0.6


def keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_in(inner)


def test_the_formats_list_every_key_of_the_ledger(made: dict[str, Any]) -> None:
    document = (Path(__file__).parents[2] / "docs/formats.md").read_text()
    section = document.split("\n## Ensemble ledger\n")[1].split("\n## ")[0]
    told = set(re.findall(r"`([^`]+)`", section))
    suffix = re.compile(r"_(?:ci|std|of_subsets)$")
    assert {suffix.sub("", key) for key in keys_in(made)} | {"_ci", "_std", "_of_subsets"} <= told
