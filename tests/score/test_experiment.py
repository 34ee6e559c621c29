"""Corpus figures, wall times and curves read from experiment directories."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DataError
from asr_kd.score.experiment import corpus_facts, training_curves, union_length, wall_seconds

spans = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)).map(lambda s: (s[0], s[0] + s[1])), max_size=12)


@given(spans)
@settings(max_examples=50)
def test_union_length_counts_each_second_once(some: list[tuple[int, int]]) -> None:
    assert union_length(some) == len({second for start, end in some for second in range(start, end)})


def write_run(directory: Path, command: str, *sessions: tuple[float, float]) -> None:
    directory.mkdir(parents=True)
    run = {"identity": {"command": command}, "sessions": sessions}
    (directory / "run.json").write_text(json.dumps(run))


def test_members_trained_side_by_side_count_once(tmp_path: Path) -> None:
    write_run(tmp_path / "members/1", "train", (1000.0, 1060.0))
    write_run(tmp_path / "members/2", "train", (1030.0, 1090.0))
    write_run(tmp_path / "mono", "flat-start", (100.0, 110.0))
    assert wall_seconds([tmp_path]) == ({"flat-start": 10.0, "train": 90.0}, 100.0)


def test_experiments_do_not_count_as_stages(tmp_path: Path) -> None:
    write_run(tmp_path / "mono", "flat-start", (100.0, 110.0))
    for script in (Path(__file__).resolve().parents[2] / "local/experiments").glob("*.sh"):
        write_run(tmp_path / script.stem / "report", "ensemble-report", (200.0, 260.0))
        (tmp_path / script.stem / "report/metrics.jsonl").write_text('{"epoch": 1, "train_loss": 1.0}\n')
    write_run(tmp_path / "held-out/score", "score", (300.0, 360.0))
    assert wall_seconds([tmp_path]) == ({"flat-start": 10.0}, 10.0)
    assert training_curves(tmp_path) == {}


def test_an_interrupted_run_counts_without_the_pause(tmp_path: Path) -> None:
    write_run(tmp_path / "members/1", "train", (1000.0, 1020.0), (5000.0, 5040.0))
    assert wall_seconds([tmp_path]) == ({"train": 60.0}, 60.0)


def test_a_run_without_its_command_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"run\.json: not the record"):
        wall_seconds([tmp_path])


def test_test_hours_add_up_over_folds_and_train_hours_are_their_mean(make_experiment: Callable[..., Path]) -> None:
    folds = [make_experiment("one", num_utterances=4), make_experiment("two", num_utterances=4)]
    facts = corpus_facts(folds)
    assert facts["train_hours"] == pytest.approx(1.5)
    assert facts["test_hours"] == pytest.approx(1.0)
    assert facts["test_utterances"] == 8
    assert list(facts)[:3] == ["train_hours", "train_utterances", "dev_hours"]


def test_a_frame_store_without_counts_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "frames/train").mkdir(parents=True)
    (tmp_path / "frames/train/meta.json").write_text('{"num_frames": 3, "num_utterances": 1}')
    with pytest.raises(DataError, match="no 'frame_shift_ms'"):
        corpus_facts([tmp_path])


def test_curves_leave_out_torn_lines_and_the_alignment_model(make_experiment: Callable[..., Path]) -> None:
    experiment = make_experiment("exp", num_utterances=4)
    (experiment / "mono").mkdir()
    (experiment / "mono/metrics.jsonl").write_text('{"epoch": 1}\n')
    curves = training_curves(experiment)
    assert set(curves) == {"members/1", "members/2", "students/distilled-1"}
    assert [point["epoch"] for point in curves["members/1"]] == list(range(1, 9))
