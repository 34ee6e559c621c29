"""The regularizer report: what hard and soft targets make of a part of the data."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from asr_kd.cli.main import main
from asr_kd.errors import DataError, MismatchError
from asr_kd.score.evaluated import write_evaluated
from asr_kd.score.regularizer import load_partial_runs, regularizer_results
from asr_kd.score.regularizer_page import render_regularizer

UTTERANCES, LENGTH, PDFS = 40, 25, 6


class Experiment:
    """Models and their evaluations, written as the commands do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models: list[Path] = []
        self.evaluated: list[Path] = []

    def add(self, name: str, fraction: float, seed: int, accuracy: float, *, early: int = 0, dev: list[float]) -> None:
        where = f"{len(self.models)}-{name.replace(' ', '-')}-{fraction}-{seed}"[:16]
        model = self.root / "models" / where
        model.mkdir(parents=True)
        options = {"batch_size": 10, "train_fraction": fraction, "early_stopping": early}
        record = {
            "identity": {"command": "train", "options": options},
            "seed": seed,
            "checksums": {"model.safetensors": where},
        }
        (model / "run.json").write_text(json.dumps(record))
        rows = [
            {"epoch": 2 * number, "frames": 95, "dev_frame_accuracy": value, "test_frame_accuracy": value - 0.1}
            | {"fitted_frame_accuracy": value + 0.2, "dev_cross_entropy": 1 + value, "test_cross_entropy": 2.0}
            for number, value in enumerate(dev, 1)
        ]
        unwatched = [{"epoch": 1, "frames": 95}]
        (model / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in unwatched + rows))
        self.models.append(model)
        self.evaluated.append(self.evaluation(where, name, seed, accuracy))

    def evaluation(self, where: str, name: str, seed: int, accuracy: float, *, utterances: int = UTTERANCES) -> Path:
        directory = self.root / "test" / where
        directory.mkdir(parents=True)
        rng = np.random.default_rng(seed)
        labels_N = rng.integers(0, PDFS, utterances * LENGTH).astype(np.int32)
        right_N = np.arange(len(labels_N)) * 37 % 100 < round(100 * accuracy)
        names = [f"utt-{number:02d}" for number in range(utterances)]
        system = {"name": name, "seed": seed, "members": 1, "params": 10, "num_pdfs": PDFS, "conf": ""}
        write_evaluated(
            directory,
            utterances=names,
            speakers=names,
            counts_U=np.full(utterances, LENGTH),
            labels_N=labels_N,
            decisions_N=np.where(right_N, labels_N, (labels_N + 1) % PDFS).astype(np.int32),
            label_logp_N=np.where(right_N, -0.1, -2.0).astype(np.float32),
            system=system | {"models": [where]},
        )
        record = {"identity": {"command": "evaluate"}, "checksums": {"frames.tsv": where}}
        (directory / "run.json").write_text(json.dumps(record))
        return directory


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(tmp_path)
    for seed in (1, 2):
        made.add("hard", 1.0, seed, 0.8, dev=[0.7, 0.8])
        made.add("hard", 0.1, seed, 0.4, dev=[0.3, 0.5, 0.4])
        made.add("early", 0.1, seed, 0.5, early=2, dev=[0.3, 0.5, 0.4])
        made.add("soft", 0.1, seed, 0.65 + 0.01 * seed, dev=[0.3, 0.5, 0.6])
    return made


def rows_of(experiment: Experiment, num_samples: int = 200) -> dict[tuple[str, float], dict]:
    systems = load_partial_runs(experiment.models, experiment.evaluated, [])
    results = regularizer_results(systems, full="hard", hard="early", num_samples=num_samples, seed=1)
    return {(row["name"], row["fraction"]): row for row in results["systems"]}


def test_shares_are_of_the_full_data_and_of_what_the_small_costs(experiment: Experiment) -> None:
    rows = rows_of(experiment)
    soft = rows["soft", 0.1]
    assert soft["frame_accuracy"] == pytest.approx(0.665)
    assert soft["share_of_full"] == pytest.approx(0.665 / 0.8)
    assert soft["over_hard"] == pytest.approx(0.165)
    assert soft["recovered"] == pytest.approx(0.165 / 0.3)
    for name in ("frame_accuracy", "share_of_full", "over_hard", "recovered"):
        low, high = soft[f"{name}_ci"]
        assert low <= soft[name] <= high and low < high
    assert soft["frame_accuracy_std"] == pytest.approx(0.01 / np.sqrt(2))
    assert rows["hard", 1.0]["share_of_full"] is None
    assert rows["early", 0.1]["recovered"] is None


def test_intervals_hold_the_chance_of_the_seeds(tmp_path: Path) -> None:
    """What a seed does to all systems alike, as it draws the same utterances for them, is no part of a difference."""

    def width(name: str, hard: float, soft: float, figure: str) -> float:
        made = Experiment(tmp_path / f"{name}-{figure}")
        for seed in (1, 2, 3):
            made.add("hard", 1.0, seed, 0.8, dev=[0.8])
            made.add("early", 0.1, seed, 0.5 + hard * (seed - 2), dev=[0.5])
            made.add("soft", 0.1, seed, 0.65 + soft * (seed - 2), dev=[0.6])
        row = rows_of(made, 10_000)["soft", 0.1]
        low, high = row[f"{figure}_ci"]
        return high - low

    # Two systems that a seed moves by -0.1, 0, 0.1 together, or by half of that against each other.
    of_seeds = 2 * stats.t(2).ppf(0.975) * 0.1 / np.sqrt(3)
    assert width("alike", 0.0, 0.0, "over_hard") < 0.05
    assert width("together", 0.1, 0.1, "over_hard") < 0.05
    assert width("together", 0.1, 0.1, "frame_accuracy") == pytest.approx(of_seeds, rel=0.1)
    assert width("apart", -0.05, 0.05, "over_hard") == pytest.approx(of_seeds, rel=0.3)


def test_more_systems_that_move_alike_are_no_more_evidence(tmp_path: Path) -> None:
    """Stopped early or not, one run is the beginning of the other: they differ by nothing, and count once."""
    made = Experiment(tmp_path)
    for seed in (1, 2, 3):
        made.add("hard", 1.0, seed, 0.8, dev=[0.8])
        for name, accuracy, move in (
            ("hard", 0.5, -0.05),
            ("early", 0.5, -0.05),
            ("soft", 0.65, 0.05),
            ("all", 0.7, 0.05),
        ):
            made.add(name, 0.1, seed, accuracy + move * (seed - 2), dev=[0.5])
    rows = rows_of(made, 10_000)
    of_seeds = 2 * stats.t(2).ppf(0.975) * 0.1 / np.sqrt(3)
    low, high = rows["soft", 0.1]["over_hard_ci"]
    assert high - low == pytest.approx(of_seeds, rel=0.2)
    low, high = rows["hard", 0.1]["over_hard_ci"]
    assert high - low < 0.05


def test_a_model_is_one_seed_and_its_evaluation_its_own(experiment: Experiment) -> None:
    models, evaluated = experiment.models, experiment.evaluated
    with pytest.raises(MismatchError, match="twice"):
        load_partial_runs([*models, models[0]], [*evaluated, evaluated[0]], [])
    record = json.loads((evaluated[0] / "system.json").read_text())
    record["models"].append("another")
    (evaluated[0] / "system.json").write_text(json.dumps(record))
    with pytest.raises(MismatchError, match="another model"):
        load_partial_runs(models, evaluated, [])


def test_the_largest_share_comes_first(experiment: Experiment) -> None:
    assert [fraction for _, fraction in rows_of(experiment)] == [1.0, 0.1, 0.1, 0.1]


def test_the_accuracy_on_trained_frames_is_that_of_the_weights_kept(experiment: Experiment) -> None:
    rows = rows_of(experiment)
    assert rows["hard", 0.1]["train_frame_accuracy"] == pytest.approx(0.6)
    assert rows["early", 0.1]["train_frame_accuracy"] == pytest.approx(0.7)


def test_curves_are_over_updates_and_tell_how_far_dev_fell(experiment: Experiment) -> None:
    row = rows_of(experiment)["hard", 0.1]
    # 95 frames are 10 steps of 10, looked at every second epoch.
    assert [point["updates"] for point in row["curves"][0]] == [20, 40, 60]
    assert [point["test_frame_accuracy"] for point in row["curves"][0]] == pytest.approx([0.2, 0.4, 0.3])
    assert row["dev_accuracy_fall"] == pytest.approx(0.1)
    assert row["dev_cross_entropy_rise"] == pytest.approx(0.1)
    assert row["updates"] == 60


def test_frames_trained_on_may_be_evaluated_instead_of_watched(experiment: Experiment) -> None:
    fitted = []
    for model, directory in zip(experiment.models, experiment.evaluated, strict=True):
        if "1.0" in model.name:
            fitted.append(experiment.evaluation(f"fitted-{model.name}", "hard", 1, 0.9))
            system = json.loads((fitted[-1] / "system.json").read_text())
            (fitted[-1] / "system.json").write_text(json.dumps(system | {"models": [directory.name]}))
    systems = load_partial_runs(experiment.models, experiment.evaluated, fitted)
    assert [run.fitted_accuracy for run in systems["hard", 1.0]] == pytest.approx([0.9, 0.9])


def test_models_and_evaluations_in_another_order_are_refused(experiment: Experiment) -> None:
    same_seed = [experiment.evaluated[2], experiment.evaluated[1], experiment.evaluated[0], *experiment.evaluated[3:]]
    for mixed in (experiment.evaluated[::-1], same_seed):
        with pytest.raises(MismatchError, match="in the same order"):
            load_partial_runs(experiment.models, mixed, [])
    with pytest.raises(MismatchError, match="8 models but 7"):
        load_partial_runs(experiment.models, experiment.evaluated[1:], [])


def test_evaluations_of_other_frames_are_refused(experiment: Experiment) -> None:
    other = experiment.evaluation("other", "soft", 2, 0.5, utterances=3)
    with pytest.raises(MismatchError, match="other labelled frames") as error:
        load_partial_runs(experiment.models, [*experiment.evaluated[:-1], other], [])
    assert str(other) in str(error.value)


def test_evaluations_on_other_labels_are_refused(experiment: Experiment) -> None:
    for directory, labels in ((experiment.evaluated[0], "a"), (experiment.evaluated[-1], "b")):
        path = directory / "system.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": labels}))
    with pytest.raises(MismatchError, match="scored on other labels"):
        load_partial_runs(experiment.models, experiment.evaluated, [])


def test_a_share_without_hard_targets_is_refused(experiment: Experiment) -> None:
    experiment.add("soft", 0.3, 1, 0.7, dev=[0.6])
    with pytest.raises(DataError, match=r"--hard early: not with the share 0\.3 of soft"):
        rows_of(experiment)


def test_the_page_says_where_the_full_models_learnt_from_more_than_the_shares_are_of(experiment: Experiment) -> None:
    systems = load_partial_runs(experiment.models, experiment.evaluated, [])
    results = regularizer_results(systems, full="hard", hard="early", num_samples=200, seed=1)
    assert "times as many frames" not in render_regularizer(results)
    for row in results["systems"]:
        row["frames"] = 3000 if row["fraction"] == 1 else 95
    assert "learnt from 3.2 times as many frames" in render_regularizer(results)


def test_the_command_writes_table_figures_and_curves(experiment: Experiment, capsys: pytest.CaptureFixture) -> None:
    out = experiment.root / "report"
    words = ("--hard", "early", "--recipe", "digits", "--bootstrap-samples", 200)
    words += ("--evaluated", *experiment.evaluated, "--", *experiment.models, out)
    assert main(["regularizer-report", *map(str, words)]) == 0
    page = (out / "RESULTS.md").read_text()
    assert "| soft | 10 % | 95 | 60 | 2 | 80.0 | 66.5 [" in page
    assert "| updates | hard: train / test / nats | soft: train / test / nats |" in page
    assert "| 40 | 70.0 / 40.0 / 2.00 | 70.0 / 40.0 / 2.00 |" in page
    assert page in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    assert {row["name"] for row in results["systems"]} == {"hard", "early", "soft"}
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_hard_targets_alone_have_a_page(tmp_path: Path) -> None:
    made = Experiment(tmp_path)
    made.add("hard", 1.0, 1, 0.8, dev=[0.8])
    with pytest.raises(DataError, match="no system was trained on a part of the data"):
        rows_of(made)
    made.add("early", 0.1, 1, 0.5, early=2, dev=[0.5, 0.4])
    words = ("--hard", "early", "--bootstrap-samples", 200, "--evaluated", *made.evaluated, "--", *made.models)
    assert main(["regularizer-report", *map(str, (*words, tmp_path / "report"))]) == 0
    assert "| updates | early: train / test / nats |" in (tmp_path / "report/RESULTS.md").read_text()


def test_where_hard_targets_lose_nothing_above_noise_nothing_is_recovered(tmp_path: Path) -> None:
    made = Experiment(tmp_path)
    for seed in (1, 2, 3):
        made.add("hard", 1.0, seed, 0.59 + 0.01 * seed, dev=[0.6])
        made.add("early", 0.1, seed, 0.61 - 0.01 * (seed % 2), early=2, dev=[0.6])
        made.add("soft", 0.1, seed, 0.65, dev=[0.6])
    row = rows_of(made)["soft", 0.1]
    assert row["over_hard_ci"][0] > 0
    assert row["recovered"] is None
    assert "recovered_ci" not in row


def test_of_equal_epochs_the_first_is_the_one_early_stopping_kept(tmp_path: Path) -> None:
    made = Experiment(tmp_path)
    made.add("early", 0.1, 1, 0.5, early=2, dev=[0.3, 0.5, 0.5, 0.4])
    file = made.models[0] / "metrics.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert rows[2]["dev_frame_accuracy"] == rows[3]["dev_frame_accuracy"] == 0.5
    rows[3]["fitted_frame_accuracy"] = 0.9
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run,) = load_partial_runs(made.models, made.evaluated, [])["early", 0.1]
    assert run.fitted_accuracy == pytest.approx(0.7)


def test_the_first_look_at_dev_counts_where_it_was_the_best(experiment: Experiment) -> None:
    experiment.add("late", 0.1, 1, 0.5, dev=[0.6, 0.5, 0.55])
    experiment.add("sure", 0.1, 1, 0.5, dev=[0.5, 0.6, 0.55])
    rows = rows_of(experiment)
    falls = [rows[name, 0.1]["dev_accuracy_fall"] for name in ("late", "sure")]
    rises = [rows[name, 0.1]["dev_cross_entropy_rise"] for name in ("late", "sure")]
    assert falls == pytest.approx([0.05, 0.05])
    assert rises == pytest.approx([0.05, 0.05])
