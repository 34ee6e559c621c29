"""Early stopping keeps the weights of the best look at the dev set; what is only watched changes nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_problem import CPU, Problem, learnable_labels

from asr_kd.errors import UsageError
from asr_kd.train.dev_set import DevSet
from asr_kd.train.loop import Trainer, TrainOptions
from asr_kd.train.metrics import METRICS_FILE
from asr_kd.train.schedule import OptimizerOptions


def metrics(directory: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (directory / METRICS_FILE).read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_same_weights(a: torch.nn.Module, b: torch.nn.Module) -> None:
    for name, value in a.state_dict().items():
        assert torch.equal(b.state_dict()[name], value), name


@pytest.mark.parametrize("looks", [1, 3])
def test_the_weights_are_those_of_the_best_epoch(problem: Problem, tmp_path: Path, looks: int) -> None:
    stopping = problem.with_early_stopping(looks)
    net = stopping.run(tmp_path)
    rows = metrics(tmp_path)
    accuracies = [row["dev_frame_accuracy"] for row in rows]
    best = accuracies.index(max(accuracies))
    assert len(accuracies) == best + 1 + looks < 20
    accuracy, cross_entropy = problem.dev.evaluate(net)
    assert accuracy == pytest.approx(accuracies[best], abs=1e-6)
    assert cross_entropy == pytest.approx(rows[best]["dev_cross_entropy"], abs=1e-5)
    assert cross_entropy != pytest.approx(rows[-1]["dev_cross_entropy"], abs=1e-5)


def test_a_run_that_never_stops_early_ends_with_its_best_weights_too(problem: Problem, tmp_path: Path) -> None:
    net = problem.with_early_stopping(100).run(tmp_path)
    accuracies = [row["dev_frame_accuracy"] for row in metrics(tmp_path)]
    assert len(accuracies) == 20
    assert problem.dev.evaluate(net)[0] == pytest.approx(max(accuracies), abs=1e-6)


@pytest.mark.parametrize("call", [4, 11, 23])
def test_a_run_that_was_interrupted_stops_at_the_same_place(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    stopping = problem.with_early_stopping(3)
    whole = stopping.run(tmp_path / "whole")
    steps = iter(range(1, 1000))
    step = Trainer.step

    def interrupted(trainer: Trainer, *args: object) -> None:
        if next(steps) == call:
            raise KeyboardInterrupt
        step(trainer, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stopping.run(tmp_path / "cut")
    assert_same_weights(stopping.run(tmp_path / "cut"), whole)
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")


@pytest.mark.parametrize(
    ("num_epochs", "watch_every", "watch_growth", "looks"),
    [(7, 3, 1.0, [3, 6, 7]), (10, 1, 1.5, [1, 2, 3, 5, 8, 10]), (11, 4, 2.0, [4, 8, 11])],
)
def test_the_dev_set_is_looked_at_as_often_as_asked_for_and_at_the_end(
    problem: Problem, tmp_path: Path, num_epochs: int, watch_every: int, watch_growth: float, looks: list[int]
) -> None:
    options = replace(problem.options, num_epochs=num_epochs, watch_every=watch_every, watch_growth=watch_growth)
    replace(problem, options=options).run(tmp_path)
    assert [row["epoch"] for row in metrics(tmp_path) if "dev_frame_accuracy" in row] == looks


def test_a_watched_set_is_reported_and_changes_no_weight(problem: Problem, tmp_path: Path) -> None:
    asked = problem.with_options(dropout=0.3)
    watched = {"test": DevSet(problem.store, learnable_labels(problem.store), device=CPU)}
    alone, beside = asked.run(tmp_path / "alone"), asked.run(tmp_path / "beside", watched=watched)
    assert_same_weights(alone, beside)
    rows = metrics(tmp_path / "beside")
    accuracy, cross_entropy = watched["test"].evaluate(beside)
    assert rows[-1]["test_frame_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert rows[-1]["test_cross_entropy"] == pytest.approx(cross_entropy, abs=1e-5)
    without = [{k: v for k, v in row.items() if not k.startswith("test_")} for row in rows]
    assert without == metrics(tmp_path / "alone")


def test_early_stopping_and_newbob_are_refused_together() -> None:
    with pytest.raises(UsageError, match="newbob goes back"):
        TrainOptions(early_stopping=2, optimizer=OptimizerOptions(schedule="newbob"))
