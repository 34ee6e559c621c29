"""The training loop learns, reports, warns and stops where the loss is no number."""

import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from training_problem import CPU, Problem, TwoLosses, learnable_labels

from asr_kd.errors import AsrKdError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.train.frame_set import Batch, FrameSet
from asr_kd.train.loop import TrainOptions
from asr_kd.train.metrics import METRICS_FILE
from asr_kd.train.objective import HardTargets


def metrics(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / METRICS_FILE).read_text().splitlines()]


def test_training_learns_what_can_be_learnt(problem: Problem, tmp_path: Path) -> None:
    longer = replace(problem, options=replace(problem.options, num_epochs=30))
    longer.run(tmp_path)
    rows = metrics(tmp_path)
    assert rows[-1]["train_frame_accuracy"] > 0.9 > rows[0]["train_frame_accuracy"]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] / 2


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
@pytest.mark.parametrize("schedule", ["cosine", "newbob"])
def test_each_epoch_has_a_line_of_metrics(problem: Problem, tmp_path: Path, optimizer: str, schedule: str) -> None:
    problem.with_options(optimizer=optimizer, schedule=schedule).run(tmp_path)
    rows = metrics(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(row["frames"] == 150 for row in rows)
    wanted = {"train_loss", "train_loss_hard", "train_frame_accuracy", "dev_frame_accuracy", "dev_cross_entropy"}
    assert all(wanted | {"learning_rate", "seconds"} <= row.keys() for row in rows)


def test_network_and_objective_see_the_same_changed_inputs(problem: Problem, tmp_path: Path) -> None:
    seeds: list[int] = []
    seen: list[torch.Tensor] = []

    def negative(inputs_BW: torch.Tensor, *, seed: int) -> torch.Tensor:
        seeds.append(seed)
        return -inputs_BW

    def doubled(inputs_BW: torch.Tensor, *, seed: int) -> torch.Tensor:
        seeds.append(seed)
        return 2 * inputs_BW

    class Recording:
        def losses(self, logits_BP: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
            seen.append(batch.inputs_BW)
            return HardTargets(problem.frames.labels_N).losses(logits_BP, batch)

    still = replace(problem, options=replace(problem.options, num_epochs=1)).with_options(learning_rate=1e-12)
    net = still.run(tmp_path, Recording(), transforms=[negative, doubled])
    batches = list(problem.frames.epoch(seed=still.options.seed, epoch=0, batch_size=still.options.batch_size))
    assert all(torch.equal(found, -2 * batch.inputs_BW) for found, batch in zip(seen, batches, strict=True))
    assert len(set(seeds)) == 2 * len(batches)
    with torch.no_grad():
        logits = net(torch.cat(seen))
    labels = problem.frames.labels_N[torch.cat([batch.frames_B for batch in batches])].long()
    (row,) = metrics(tmp_path)
    assert row["train_loss"] == pytest.approx(float(functional.cross_entropy(logits, labels)), rel=1e-5)


def test_dev_metrics_are_those_of_the_weights(problem: Problem, tmp_path: Path) -> None:
    net = problem.run(tmp_path)
    store = problem.dev_store
    labels = torch.from_numpy(learnable_labels(store)).long()
    with torch.no_grad():
        logits = net.eval()(store.windows(slice(0, store.num_frames)))
    last = metrics(tmp_path)[-1]
    assert last["dev_frame_accuracy"] == pytest.approx(float((logits.argmax(1) == labels).double().mean()))
    assert last["dev_cross_entropy"] == pytest.approx(float(functional.cross_entropy(logits, labels)), abs=1e-5)


def test_newbob_keeps_the_best_weights(problem: Problem, tmp_path: Path) -> None:
    steered = problem.with_options(schedule="newbob", optimizer="sgd", learning_rate=3.0, newbob_halvings=4)
    steered = replace(steered, options=replace(steered.options, num_epochs=20))
    net = steered.run(tmp_path)
    rows = metrics(tmp_path)
    best = min(row["dev_cross_entropy"] for row in rows)
    assert steered.dev.evaluate(net)[1] == pytest.approx(best, abs=1e-5)
    rates = [row["learning_rate"] for row in rows]
    assert rates[0] == 3.0
    assert all(later in (earlier, earlier / 2) for earlier, later in itertools.pairwise(rates))
    assert len(rows) < 20
    assert rates[-1] == pytest.approx(3.0 / 2**3)


def test_the_cosine_ends_at_its_final_part(problem: Problem, tmp_path: Path) -> None:
    problem.with_options(final_learning_rate=0.1).run(tmp_path)
    rates = [row["learning_rate"] for row in metrics(tmp_path)]
    assert rates == sorted(rates, reverse=True)
    assert 0.02 > rates[0] > rates[-1] > 0.002
    assert rates[-1] < 0.003


def test_a_small_learning_rate_is_recorded_as_it_is(problem: Problem, tmp_path: Path) -> None:
    problem.with_options(learning_rate=1.234567e-7, final_learning_rate=1.0).run(tmp_path)
    assert [row["learning_rate"] for row in metrics(tmp_path)] == [1.23457e-7] * 3


def test_the_seed_alone_decides_a_run(problem: Problem, tmp_path: Path) -> None:
    asked = problem.with_options(dropout=0.3)
    torch.manual_seed(1)
    first = asked.run(tmp_path / "1").state_dict()
    torch.manual_seed(2)
    again = asked.run(tmp_path / "2").state_dict()
    other = replace(asked, options=replace(asked.options, seed=2)).run(tmp_path / "3").state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_each_losss_part_of_the_gradient_is_reported(problem: Problem, tmp_path: Path) -> None:
    problem.run(tmp_path, TwoLosses(problem.frames.labels_N, 0.25))
    for row in metrics(tmp_path):
        assert row["gradient_share_much"] == pytest.approx(0.75)
        assert row["gradient_share_little"] == pytest.approx(0.25)


@pytest.mark.parametrize(("part", "warns"), [(0.009, True), (0.011, False)])
def test_a_loss_below_a_hundredth_of_the_gradient_is_warned_of(
    problem: Problem, tmp_path: Path, caplog: pytest.LogCaptureFixture, part: float, warns: bool
) -> None:
    with caplog.at_level(logging.WARNING, "asr_kd"):
        problem.run(tmp_path, TwoLosses(problem.frames.labels_N, part))
    assert ("the little loss is 0.9 % of the gradient" in caplog.text) == warns
    assert "the much loss" not in caplog.text


class Seen:
    """The labels' loss; keeps the frames and the logits of each step."""

    def __init__(self, labels_N: torch.Tensor) -> None:
        self._hard = HardTargets(labels_N)
        self.frames: list[list[int]] = []
        self.logits: list[torch.Tensor] = []

    def losses(self, logits_BP: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        self.frames.append(batch.frames_B.tolist())
        self.logits.append(logits_BP.detach().clone())
        return self._hard.losses(logits_BP, batch)


@pytest.mark.parametrize(("dropout", "different"), [(0.0, 1), (0.5, 12)])
def test_every_step_leaves_out_units_of_its_own(
    problem: Problem, make_store: Callable[..., FrameStore], tmp_path: Path, dropout: float, different: int
) -> None:
    """With frames that are all the same and weights that stay, logits differ by the units left out alone."""
    store = make_store([np.ones((32, problem.store.dim), np.float32)])
    same = FrameSet([store], [np.zeros(32, np.int32)], use_unlabelled=False, device=CPU)
    options = replace(problem.options, batch_size=8)
    still = replace(problem, frames=same, options=options).with_options(
        optimizer="sgd", learning_rate=1e-30, dropout=dropout
    )
    seen = Seen(same.labels_N)
    still.run(tmp_path, seen)
    assert len(seen.logits) == 3 * 4
    assert len({logits_BP.numpy().tobytes() for logits_BP in seen.logits}) == different


def test_every_epoch_has_all_frames_in_an_order_of_its_own(problem: Problem, tmp_path: Path) -> None:
    seen = Seen(problem.frames.labels_N)
    problem.run(tmp_path, seen)
    steps = problem.frames.num_batches(problem.options.batch_size)
    orders = [
        tuple(itertools.chain(*seen.frames[begin : begin + steps])) for begin in range(0, len(seen.frames), steps)
    ]
    assert len(set(orders)) == len(orders) == problem.options.num_epochs
    assert all(sorted(order) == list(range(len(problem.frames))) for order in orders)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
def test_no_unit_of_a_trained_net_has_longer_weights_than_the_max_norm(
    problem: Problem, tmp_path: Path, optimizer: str
) -> None:
    def longest(directory: str, max_norm: float | None) -> float:
        net = problem.with_options(optimizer=optimizer, max_norm=max_norm).run(tmp_path / directory)
        return max(float(value.norm(dim=1).max()) for name, value in net.state_dict().items() if "weight" in name)

    assert longest("free", None) > 1
    assert longest("limited", 0.7) == pytest.approx(0.7)


class Wrong:
    """A loss that is no number from a step on."""

    def __init__(self, value: float, first: int) -> None:
        self._value, self._left = value, first

    def losses(self, logits_BP: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        self._left -= 1
        return {"soft": logits_BP.sum() * (self._value if self._left < 0 else 0.0)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("first", [0, 7, 14])
def test_a_loss_that_is_not_finite_is_an_error_that_says_what_to_do(
    problem: Problem, tmp_path: Path, value: float, first: int
) -> None:
    with pytest.raises(AsrKdError, match=r"loss became (nan|inf|-inf) in epoch \d; lower --learning-rate") as error:
        problem.run(tmp_path, Wrong(value, first))
    assert f"epoch {first // 5 + 1}" in str(error.value)


def test_a_checkpoint_is_never_replaced_by_weights_that_are_no_numbers(problem: Problem, tmp_path: Path) -> None:
    often = replace(problem, options=replace(problem.options, checkpoint_seconds=0.0))
    with pytest.raises(AsrKdError, match="loss became nan in epoch 2"):
        often.run(tmp_path, Wrong(float("nan"), 7))
    kept = load_file(tmp_path / "checkpoint.safetensors")
    assert all(bool(value.isfinite().all()) for value in kept.values())


class WrongGradient(Wrong):
    def losses(self, logits_BP: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """The loss of zero logits is zero, the gradient of its root is none."""
        self._left -= 1
        return {"soft": (logits_BP.sum() * 0.0).sqrt() if self._left < 0 else logits_BP.sum() * 0.0}


@pytest.mark.parametrize("first", [4, 7])
def test_a_step_whose_loss_was_finite_may_lose_the_weights(problem: Problem, tmp_path: Path, first: int) -> None:
    """In the last step of an epoch that is not looked after, or before a checkpoint within one."""
    options = replace(problem.options, watch_every=5, checkpoint_seconds=0.0 if first == 7 else 1e9)
    with pytest.raises(AsrKdError, match=f"(weights|loss) became nan in epoch {first // 5 + 1}"):
        replace(problem, options=options).run(tmp_path, WrongGradient(0.0, first))
    if (tmp_path / "checkpoint.safetensors").exists():
        kept = load_file(tmp_path / "checkpoint.safetensors")
        assert all(bool(value.isfinite().all()) for value in kept.values())


def test_weights_that_are_no_numbers_after_the_last_step_are_an_error(problem: Problem, tmp_path: Path) -> None:
    """A finite loss whose gradient is not spoils the weights unseen: only the dev set then tells."""

    class Spoilt:
        def losses(self, logits_BP: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
            return {"hard": (logits_BP - logits_BP.detach()).abs().sqrt().sum()}

    one_step = replace(problem, options=replace(problem.options, num_epochs=1, batch_size=150))
    with pytest.raises(AsrKdError, match="lower --learning-rate"):
        one_step.run(tmp_path, Spoilt())


@pytest.mark.parametrize("wrong", [{"num_epochs": 0}, {"batch_size": 0}, {"watch_every": 0}, {"watch_growth": 0.9}])
def test_impossible_options_are_wrong_usage(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        TrainOptions(**wrong)  # type: ignore[arg-type]
