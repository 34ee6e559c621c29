"""A run that was interrupted anywhere and resumed equals one that was not, bit for bit."""

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from training_problem import Problem, TwoLosses

from asr_kd.distill.mixing import mix
from asr_kd.errors import DataError
from asr_kd.train import checkpoint, loop
from asr_kd.train.checkpoint import CHECKPOINT_FILE
from asr_kd.train.dev_set import DevSet
from asr_kd.train.loop import Trainer
from asr_kd.train.metrics import METRICS_FILE
from asr_kd.train.optimizers import AdamW

Weights = dict[str, torch.Tensor]


def result(directory: Path, net: torch.nn.Module) -> tuple[Weights, list[dict[str, float]]]:
    """Weights, and metrics but for the time taken."""
    rows = [json.loads(line) for line in (directory / METRICS_FILE).read_text().splitlines()]
    return net.state_dict(), [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def assert_same(found: tuple[Weights, Any], expected: tuple[Weights, Any]) -> None:
    assert found[1] == expected[1]
    assert found[0].keys() == expected[0].keys()
    for name, value in expected[0].items():
        assert torch.equal(found[0][name], value), name


def carried_on(problem: Problem, directory: Path, objective: Any = None) -> tuple[Weights, Any]:
    return result(directory, problem.run(directory, objective))


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, call: int, after: bool) -> None:
    """Make the n-th call of a function be interrupted, before or after it does its work."""
    original: Callable[..., Any] = getattr(owner, name)
    calls = itertools.count(1)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        now = next(calls) == call
        if now and not after:
            raise KeyboardInterrupt
        value = original(*args, **kwargs)
        if now:
            raise KeyboardInterrupt
        return value

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
@pytest.mark.parametrize("schedule", ["cosine", "newbob"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("step", [3, 8])
def test_a_run_interrupted_within_an_epoch_equals_one_that_was_not(
    problem: Problem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    schedule: str,
    dropout: float,
    step: int,
) -> None:
    rate = 0.5 if optimizer == "sgd" else 0.05
    asked = problem.with_options(optimizer=optimizer, schedule=schedule, dropout=dropout, learning_rate=rate)
    expected = result(tmp_path / "whole", asked.run(tmp_path / "whole"))
    with monkeypatch.context() as patched:
        interrupt(patched, Trainer, "step", call=step, after=False)
        with pytest.raises(KeyboardInterrupt):
            asked.run(tmp_path / "cut")
    assert (tmp_path / "cut" / CHECKPOINT_FILE).exists()
    assert_same(carried_on(asked, tmp_path / "cut"), expected)


@pytest.mark.parametrize("schedule", ["cosine", "newbob"])
def test_one_saved_after_an_epochs_last_step_has_that_steps_learning_rate(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    asked = problem.with_options(schedule=schedule, learning_rate=0.1)
    asked = replace(asked, options=replace(asked.options, checkpoint_seconds=0.0))
    expected = result(tmp_path / "whole", asked.run(tmp_path / "whole"))
    with monkeypatch.context() as patched:
        interrupt(patched, DevSet, "evaluate", call=2, after=False)
        with pytest.raises(KeyboardInterrupt):
            asked.run(tmp_path / "cut")
    assert_same(carried_on(asked, tmp_path / "cut"), expected)


def test_changed_inputs_are_the_same_after_an_interruption(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = result(tmp_path / "whole", problem.run(tmp_path / "whole", transforms=[mix]))
    with monkeypatch.context() as patched:
        interrupt(patched, Trainer, "step", call=3, after=False)
        with pytest.raises(KeyboardInterrupt):
            problem.run(tmp_path / "cut", transforms=[mix])
    assert_same(result(tmp_path / "cut", problem.run(tmp_path / "cut", transforms=[mix])), expected)


PLACES = {
    "before the gradient": (Trainer, "_learning_rate", False),
    "before weights change": (AdamW, "step", False),
    "after weights changed": (AdamW, "step", True),
    "before the sums": (Trainer, "_add_up", False),
    "after the sums": (Trainer, "_add_up", True),
    "in the dev set": (DevSet, "evaluate", False),
    "before metrics are written": (loop.MetricsLog, "write", False),
    "after metrics are written": (loop.MetricsLog, "write", True),
    "before a checkpoint": (checkpoint, "save", False),
    "after a checkpoint": (checkpoint, "save", True),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", [1, 2])
def test_it_does_not_matter_where_it_was_interrupted(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, call: int
) -> None:
    owner, name, after = PLACES[place]
    asked = problem.with_options(dropout=0.3)
    expected = result(tmp_path / "whole", asked.run(tmp_path / "whole"))
    with monkeypatch.context() as patched:
        interrupt(patched, owner, name, call=call, after=after)
        with pytest.raises(KeyboardInterrupt):
            asked.run(tmp_path / "cut")
    assert_same(carried_on(asked, tmp_path / "cut"), expected)


class Cut:
    """Interrupts the program at the n-th line it executes of the loop, its checkpoints or the optimiser."""

    FILES = tuple(f"asr_kd/train/{name}.py" for name in ("loop", "checkpoint", "metrics", "optimizers"))

    def __init__(self, line: int) -> None:
        self.left = line

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._enter)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)
        # An interruption on the way out of autocast leaves it entered, with its casts of old weights kept. Programs
        # end then; this one goes on.
        torch.autocast_increment_nesting()
        while torch.autocast_decrement_nesting() > 0:
            pass
        torch.clear_autocast_cache()

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._line if frame.f_code.co_filename.endswith(self.FILES) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        self.left -= event == "line"
        if self.left == 0:
            raise KeyboardInterrupt
        return self._line


def test_a_run_interrupted_again_and_again_at_any_line_equals_one_that_was_not(
    problem: Problem, tmp_path: Path
) -> None:
    asked = problem.with_options(dropout=0.3, schedule="newbob", learning_rate=0.1)
    expected = result(tmp_path / "whole", asked.run(tmp_path / "whole"))
    interruptions = 0
    for line in itertools.chain(range(150, 700, 11), [10**9]):
        cut = Cut(line)
        try:
            with cut:
                found = carried_on(asked, tmp_path / "cut")
        except KeyboardInterrupt:
            interruptions += 1
            continue
        assert_same(found, expected)
        break
    assert interruptions > 5


def test_periodic_checkpoints_change_nothing(problem: Problem, tmp_path: Path) -> None:
    asked = problem.with_options(dropout=0.3)
    often = replace(asked, options=replace(asked.options, checkpoint_seconds=0.0))
    assert_same(carried_on(often, tmp_path / "often"), carried_on(asked, tmp_path / "seldom"))


def test_shares_of_the_gradient_survive_an_interruption(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, objective = problem.with_options(dropout=0.3), TwoLosses(problem.frames.labels_N, 0.25)
    expected = result(tmp_path / "whole", asked.run(tmp_path / "whole", objective))
    with monkeypatch.context() as patched:
        interrupt(patched, Trainer, "step", call=8, after=False)
        with pytest.raises(KeyboardInterrupt):
            asked.run(tmp_path / "cut", objective)
    assert_same(carried_on(asked, tmp_path / "cut", objective), expected)
    assert "gradient_share_little" in expected[1][1]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "without progress": lambda path: save_file({"net.x": torch.zeros(1)}, path),
    "of another network": lambda path: save_file({"net.x": torch.zeros(1)}, path, metadata={"progress": "{}"}),
    "of another program": lambda path: save_file({}, path, metadata={"progress": '{"stage": 1}'}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_an_error_that_says_what_to_do(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    with monkeypatch.context() as patched:
        interrupt(patched, Trainer, "step", call=3, after=False)
        with pytest.raises(KeyboardInterrupt):
            problem.run(tmp_path)
    DAMAGES[damage](tmp_path / CHECKPOINT_FILE)
    with pytest.raises(DataError, match=f"remove {tmp_path} to start anew") as error:
        problem.run(tmp_path)
    assert "\n" not in str(error.value)
