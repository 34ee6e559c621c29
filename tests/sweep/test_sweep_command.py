"""`asr-kd sweep` on the corpus of tones: a grid to its table, what a second call does, and what goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tone_pipeline import TINY_NET, Pipeline

from asr_kd.cli.main import main
from asr_kd.score.frame_accuracy import read_frames

GRID = ("--temperatures", 1, 4, "--hidden-dims", 8, 24)


def words(pipeline: Pipeline, out: Path, *flags: object) -> list[str]:
    exp = pipeline.exp
    test = ("--test-frames", exp / "frames/test", "--test-labels", exp / "ali/test")
    data = ("--labels", exp / "ali/train", *pipeline.dev, *test, "--bootstrap-samples", 200)
    return [str(word) for word in ("sweep", *TINY_NET, *data, *flags, "--", exp / "frames/train", out)]


def sweep(pipeline: Pipeline, out: Path, *flags: object) -> int:
    return main(words(pipeline, out, "--teachers", *pipeline.members, "--dense", "--num-epochs", 1, *flags))


def weights(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in out.glob("models/*/model.safetensors")}


def state(out: Path) -> dict[str, int]:
    """When every file of a finished stage was written."""
    return {
        str(path.relative_to(out)): path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.is_file() and path.relative_to(out).parts[0] != "log"
    }


@pytest.fixture(scope="module")
def made(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of four cells and two seeds; tests read it."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    assert sweep(pipeline, out, *GRID, "--seeds", 1, 2, "--nj", 2) == 0
    return out


def test_the_results_are_those_of_the_evaluated_students(made: Path) -> None:
    results = json.loads((made / "report/results.json").read_text())
    assert results["dimensions"] == {
        "temperature": [1.0, 4.0],
        "soft_weight": [0.9],
        "hard_weight": [0.1],
        "hidden_dim": [8, 24],
    }
    assert len(results["cells"]) == 4
    for row in results["cells"]:
        name = f"T{row['temperature']:g}-soft0.9-hard0.1-dim{row['hidden_dim']}"
        runs = [read_frames(made / "test" / f"{name}-seed{seed}" / "frames.tsv")[1] for seed in (1, 2)]
        assert [run["test_frame_accuracy"] for run in row["runs"]] == [run.accuracy for run in runs]
        assert row["seeds"] == 2
        model = json.loads((made / "models" / f"{name}-seed1" / "config.json").read_text())
        assert model["net"]["hidden_dim"] == row["hidden_dim"]
        soft = json.loads((Path(model["soft_targets"][0]) / "meta.json").read_text())
        assert soft["temperature"] == row["temperature"]


def test_a_sweep_has_a_page_and_a_heat_map(made: Path) -> None:
    assert "hidden units by temperature" in (made / "report/RESULTS.md").read_text()
    assert (made / "report/hidden_dim_x_temperature.png").stat().st_size > 10_000


def test_a_second_call_makes_nothing_anew(pipeline: Pipeline, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state(made)
    capsys.readouterr()
    assert sweep(pipeline, made, *GRID, "--seeds", 1, 2, "--nj", 1) == 0
    assert state(made) == before
    assert "8 hidden units" in capsys.readouterr().out


def test_a_new_value_trains_only_what_is_new(pipeline: Pipeline, tmp_path: Path) -> None:
    out = tmp_path / "out"
    few = ("--hidden-dims", 8)
    assert sweep(pipeline, out, *few, "--temperatures", 2, "--seeds", 1) == 0
    before = state(out)
    assert sweep(pipeline, out, *few, "--temperatures", 2, "--seeds", 1, 3) == 0
    assert sweep(pipeline, out, *few, "--temperatures", 2, 4, "--seeds", 1) == 0
    after = {name: when for name, when in state(out).items() if name in before and not name.startswith("report")}
    assert after == {name: when for name, when in before.items() if not name.startswith("report")}
    name = "soft0.9-hard0.1-dim8-seed"
    assert set(weights(out)) == {f"T2-{name}1", f"T2-{name}3", f"T4-{name}1"}
    results = json.loads((out / "report/results.json").read_text())
    assert results["dimensions"]["temperature"] == [2.0, 4.0] and results["seeds"] == [1]


def test_logits_give_the_same_students_made_by_the_sweep_or_before_it(pipeline: Pipeline, tmp_path: Path) -> None:
    exp = pipeline.exp
    soft = tmp_path / "logits"
    logits = ("--logits", "--mean", "geometric", exp / "frames/train", *pipeline.members, soft)
    assert main([str(word) for word in ("make-soft-targets", *logits)]) == 0
    common = ("--num-epochs", 1, "--hidden-dims", 8, "--temperatures", 1, 3)
    assert main(words(pipeline, tmp_path / "given", *common, "--soft-targets", soft)) == 0
    own = ("--teachers", *pipeline.members, "--logits", "--mean", "geometric")
    assert main(words(pipeline, tmp_path / "own", *common, *own)) == 0
    assert len(weights(tmp_path / "own")) == 2
    assert weights(tmp_path / "own") == weights(tmp_path / "given")
    assert not (tmp_path / "given/soft").exists()
    assert [path.name for path in (tmp_path / "own/soft").iterdir()] == ["logits"]


def test_an_interrupted_sweep_carries_on_to_the_same_students(pipeline: Pipeline, tmp_path: Path) -> None:
    flags = ("--teachers", *pipeline.members, "--dense", "--num-epochs", 10, "--hidden-dims", 8, "--temperatures", 2, 4)
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main(words(pipeline, whole, *flags, "--nj", 2)) == 0
    command = [sys.executable, "-c", "from asr_kd.cli.main import program; program()"]
    command += words(pipeline, out, *flags, "--nj", "1")
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background the shell has SIGINT ignored, which a child would inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        deadline = time.monotonic() + 60
        while not list(out.glob("models/*.partial")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert said.splitlines()[-1] == "asr-kd sweep: interrupted; the same command carries on from here"
    assert len(weights(out)) < 2
    assert main(words(pipeline, out, *flags, "--nj", 2)) == 0
    assert weights(out) == weights(whole)


def test_a_student_that_fails_is_named_with_its_log_and_the_others_are_kept(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    out = tmp_path / "out"
    in_the_way = out / "models/T4-soft0.9-hard0.1-dim8-seed1"
    in_the_way.mkdir(parents=True)
    flags = ("--hidden-dims", 8, "--temperatures", 4, 2)
    assert sweep(pipeline, out, *flags) == 1
    message = complaint()
    assert message.startswith("asr-kd sweep: 1 of 2 students failed, the others are kept. T4-soft0.9")
    assert "no run.json in it" in message and str(out / "log" / f"{in_the_way.name}.log") in message
    assert set(weights(out)) == {"T2-soft0.9-hard0.1-dim8-seed1"}
    assert not (out / "report").exists()
    in_the_way.rmdir()
    assert sweep(pipeline, out, *flags) == 0
    assert len(weights(out)) == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--temperatures",), "--temperatures needs one value or more"),
        (("--temperatures", 1, "warm"), "invalid float value: 'warm'"),
        (("--temperatures", 0), "--temperatures must be above 0"),
        (("--temperature", 2), "unknown option '--temperature', did you mean '--temperatures'?"),
        (("--seeds", 1, 1), "--seeds has 1 twice"),
        (("--soft-weights", 0, "--hard-weights", 0), "would learn from nothing"),
        (("--metric", "wer"), "invalid choice: 'wer'"),
        (("--soft-targets", "a", "b"), "1 frame stores but 2 --soft-targets"),
        (("--soft-targets", "a", "--dense"), "leave them out, or --soft-targets"),
        (("--logits",), "--dense"),
    ],
)
def test_wrong_usage_is_one_line_and_makes_nothing(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str], flags: tuple[object, ...], said: str
) -> None:
    assert sweep(pipeline, tmp_path / "out", *flags) == 2
    assert said in complaint()
    assert not (tmp_path / "out").exists()


def test_a_sweep_without_teachers_says_what_it_needs(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    assert main(words(pipeline, tmp_path / "out")) == 2
    assert "give --teachers, or --soft-targets" in complaint()


def test_what_every_student_would_refuse_ends_the_sweep_at_once(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    out: Any = tmp_path / "out"
    soft = ("--soft-targets", pipeline.exp / "soft/train", "--temperatures", 1, 2, 3)
    assert main(words(pipeline, out, *soft)) == 2
    assert "leave --temperature out" in complaint()
    assert len(list(out.glob("log/*"))) == 1
