"""Calibration: what bins hold, models that are right as often as they say, and the command on trained models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tone_pipeline import Pipeline

from asr_kd.cli import calibration
from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.options import parse
from asr_kd.score.calibration import Reliability, calibration_error, calibration_results
from asr_kd.score.frame_accuracy import read_frames


def say(pipeline: Pipeline, out: Path, *flags: object) -> calibration.Options:
    exp = pipeline.exp
    scored = ("--frames", exp / "frames/test", "--labels", exp / "ali/test", "--bootstrap-samples", 200)
    words = [str(word) for word in (*scored, *flags, "--", *pipeline.members, out)]
    return parse(calibration.Options, words, command="calibration", description="")


def posteriors(num_frames: int, rng: np.random.Generator, *, sharpen: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Random posteriors [T, P] and labels drawn from them; then sharpened, so that they promise too much."""
    logits = rng.normal(size=(num_frames, 5)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) > rng.random((num_frames, 1))).argmax(axis=1)
    sharp = p**sharpen
    return np.log(sharp / sharp.sum(axis=1, keepdims=True)), labels


def reliability(rng: np.random.Generator, *, utterances: int = 60, frames: int = 50, sharpen: float = 1) -> Reliability:
    found = Reliability()
    for _ in range(utterances):
        found.add(*posteriors(frames, rng, sharpen=sharpen))
    return found


@given(st.integers(0, 2**32 - 1), st.integers(2, 20), st.floats(0.3, 3))
@settings(max_examples=50, deadline=None)
def test_the_error_is_that_of_its_definition(seed: int, num_bins: int, sharpen: float) -> None:
    logp, labels = posteriors(80, np.random.default_rng(seed), sharpen=sharpen)
    found = Reliability(num_bins)
    for part in (slice(0, 30), slice(30, 80)):
        found.add(logp[part], labels[part])
    confidence, right = np.exp(logp.max(axis=1)), logp.argmax(axis=1) == labels
    expected = 0.0
    for low in range(num_bins):
        inside = (confidence * num_bins >= low) & (confidence * num_bins < low + 1 + (low == num_bins - 1))
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert found.ece == pytest.approx(expected, abs=1e-9)
    assert found.cross_entropy == pytest.approx(-logp[np.arange(80), labels].mean())


def test_sure_and_right_is_perfect_sure_and_wrong_is_all_wrong() -> None:
    sure = np.log(np.array([[1.0, 1e-30], [1.0, 1e-30]]))
    right, wrong = Reliability(), Reliability()
    right.add(sure, np.array([0, 0]))
    wrong.add(sure, np.array([1, 1]))
    assert (right.ece, wrong.ece) == (0, 1)


def test_frames_without_a_label_do_not_count() -> None:
    logp, labels = posteriors(40, np.random.default_rng(0))
    with_gaps, without = Reliability(), Reliability()
    with_gaps.add(np.concatenate([logp, logp]), np.concatenate([labels, np.full(40, -1)]))
    without.add(logp, labels)
    np.testing.assert_array_equal(with_gaps.bins_K3, without.bins_K3)
    assert with_gaps.cross_entropy == without.cross_entropy


def test_sharpened_posteriors_promise_too_much() -> None:
    rng = np.random.default_rng(0)
    systems: Any = {
        ("flat", 1.0): [reliability(rng, sharpen=0.5)],
        ("true", 1.0): [reliability(rng)],
        ("sharp", 1.0): [reliability(rng, sharpen=3), reliability(rng, sharpen=3)],
    }
    flat, true, sharp = calibration_results(systems, speakers=(), num_samples=500, seed=1)["systems"]
    assert flat["overconfidence_ci"][1] < 0 < sharp["overconfidence_ci"][0]
    assert true["ece"] < min(flat["ece"], sharp["ece"])
    assert sharp["runs"] == 2
    assert sharp["ece_std"] > 0
    assert true["ece_std"] is None


def test_the_interval_of_a_calibrated_model_comes_near_0() -> None:
    """A resampled set's error is greater by chance; an interval that ignores this would call every model wrong."""
    rng = np.random.default_rng(1)
    systems: Any = {(str(n), 1.0): [reliability(rng, utterances=40)] for n in range(40)}
    rows = calibration_results(systems, speakers=(), num_samples=200, seed=1)["systems"]
    assert np.mean([row["ece_ci"][0] for row in rows]) < 0.2 * np.mean([row["ece"] for row in rows])


def test_the_interval_holds_the_error_of_a_model_that_is_off() -> None:
    truth = reliability(np.random.default_rng(2), utterances=4000, sharpen=3).ece
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(60):
        one = {("sharp", 1.0): [reliability(rng, utterances=60, sharpen=3)]}
        low, high = calibration_results(one, speakers=(), num_samples=300, seed=1)["systems"][0]["ece_ci"]
        covered += low <= truth <= high
    assert covered >= 52


def test_the_table_of_bins_adds_up(tmp_path: Path) -> None:
    found = reliability(np.random.default_rng(0), utterances=3)
    found.write(tmp_path / "bins.tsv")
    rows = [line.split("\t") for line in (tmp_path / "bins.tsv").read_text().splitlines()[1:]]
    assert sum(int(row[2]) for row in rows) == 150
    held = np.array([list(map(float, row[2:])) for row in rows if row[2] != "0"])
    assert found.ece == pytest.approx((held[:, 0] * abs(held[:, 2] - held[:, 1])).sum() / 150, abs=1e-5)
    assert all(float(row[0]) <= float(row[3]) <= float(row[1]) + 1e-9 for row in rows if row[2] != "0")


def test_no_frames_have_no_error() -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(calibration_error(Reliability().bins_K3))


@pytest.fixture(scope="module")
def made(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("calibration") / "out"
    flags = ("--temperatures", 1, 4, "--student", pipeline.exp / "students/distilled-1", "--recipe", "tones")
    calibration.run(say(pipeline, out, *flags))
    return out


def test_accuracy_and_cross_entropy_are_those_that_decode_counted(pipeline: Pipeline, made: Path) -> None:
    rows = {
        (row["name"], row["temperature"]): row for row in json.loads((made / "results.json").read_text())["systems"]
    }
    assert set(rows) == {(name, t) for name in ("baseline", "ensemble", "distilled") for t in (1, 4)}
    for system, name in (("ensemble", "ensemble"), ("distilled-1", "distilled")):
        _, counts = read_frames(pipeline.exp / "decode" / system / "frames.tsv")
        assert rows[name, 1]["frame_accuracy"] == pytest.approx(counts.accuracy, abs=1e-9)
        assert rows[name, 1]["cross_entropy"] == pytest.approx(counts.mean_cross_entropy, rel=1e-4)
    for name in ("baseline", "distilled"):
        assert rows[name, 4]["frame_accuracy"] == pytest.approx(rows[name, 1]["frame_accuracy"], abs=1e-9)
        assert rows[name, 4]["overconfidence"] < rows[name, 1]["overconfidence"]


def test_the_directory_holds_page_diagram_and_bins(made: Path) -> None:
    page = (made / "RESULTS.md").read_text()
    assert page.startswith("# Calibration: tones\n")
    for row in json.loads((made / "results.json").read_text())["systems"]:
        assert f"| {row['name']} | {row['temperature']:g} | {row['runs']} |" in page
        assert f"| {100 * row['ece']:.2f} [" in page
    assert (matplotlib.image.imread(made / "reliability.png")[..., :3] < 0.9).any()
    assert {"ensemble-T4.tsv", "baseline-1-T1.tsv", "distilled-1-T1.tsv"} <= {path.name for path in made.iterdir()}


@pytest.mark.parametrize("flags", [("--temperatures", 0), ("--temperatures", 1, 1), ("--bins", 1)])
def test_senseless_options_are_wrong_usage(pipeline: Pipeline, tmp_path: Path, flags: tuple[object, ...]) -> None:
    with pytest.raises(UsageError):
        say(pipeline, tmp_path / "out", *flags)


@pytest.mark.parametrize(
    ("students", "message"),
    [(("a/ensemble-11",), "'ensemble' is what the page calls"), (("a/small-1", "b/small-1"), "both called small-1")],
)
def test_students_that_would_be_taken_for_others_are_refused(
    pipeline: Pipeline, tmp_path: Path, students: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        say(pipeline, tmp_path / "out", "--student", *students)


def test_an_ensembles_posterior_is_the_mean_of_its_members_at_the_temperature(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel], tmp_path: Path
) -> None:
    store = make_store([60])
    models = [make_model(store, seed=seed) for seed in (1, 2, 3)]
    labels = np.random.default_rng(0).integers(0, 11, 60)
    paths = tuple(tmp_path / str(seed) for seed in (1, 2, 3))
    options = calibration.Options(models=paths, out=tmp_path, frames=tmp_path, labels=tmp_path, temperatures=(1.0, 3.0))
    found = calibration._measure(models, store, labels, torch.device("cpu"), options)
    for temperature in (1.0, 3.0):
        tempered = [(model.logits(store.windows(slice(0, 60))) / temperature).softmax(dim=1) for model in models]
        expected = Reliability()
        expected.add(torch.stack(tempered).mean(dim=0).log().numpy(), labels)
        np.testing.assert_allclose(found[temperature][-1].bins_K3, expected.bins_K3, rtol=1e-5)
        assert found[temperature][-1].cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-5)
