"""From audio to scores and a bundle by the commands alone, within bounds; a second run does nothing."""

import json
from pathlib import Path

import pytest
from tone_pipeline import NUM_UTTERANCES, Pipeline

from asr_kd.frames.store import FrameStore
from asr_kd.stage import read_run


@pytest.fixture(scope="module")
def results(pipeline: Pipeline) -> dict[str, dict[str, float]]:
    systems = json.loads((pipeline.exp / "score/results.json").read_text())["systems"]
    return {system["name"]: system for system in systems}


@pytest.mark.parametrize("system", ["baseline", "ensemble", "distilled"])
def test_words_made_of_tones_are_recognised(results: dict[str, dict[str, float]], system: str) -> None:
    assert results[system]["wer"] <= 0.1
    assert results[system]["frame_accuracy"] >= 0.5
    assert results[system]["ref_words"] > 50


def test_the_student_is_one_network_and_knows_nearly_what_the_ensemble_does(
    results: dict[str, dict[str, float]],
) -> None:
    student, ensemble, baseline = results["distilled"], results["ensemble"], results["baseline"]
    assert (student["members"], ensemble["members"]) == (1, 2)
    assert student["params"] == baseline["params"] == ensemble["params"] / 2
    assert student["frame_accuracy"] >= ensemble["frame_accuracy"] - 0.06
    assert ensemble["frame_accuracy"] >= baseline["frame_accuracy"]


def test_every_utterance_and_frame_is_there(pipeline: Pipeline) -> None:
    for split, count in NUM_UTTERANCES.items():
        store = FrameStore(pipeline.exp / "frames" / split)
        assert len(store.index.utterances) == count
        assert json.loads((pipeline.exp / "soft/train/meta.json").read_text())["dense"]
    assert len((pipeline.exp / "decode/ensemble/hyp.txt").read_text().splitlines()) == NUM_UTTERANCES["test"]


def test_a_second_run_changes_nothing(pipeline: Pipeline) -> None:
    finished = sorted(pipeline.exp.rglob("run.json"))
    before = [(path, path.stat().st_mtime_ns) for path in finished]
    pipeline.run()
    assert [(path, path.stat().st_mtime_ns) for path in finished] == before
    assert sorted(pipeline.exp.rglob("run.json")) == finished
    assert not list(pipeline.exp.rglob("*.partial"))


def test_every_directory_says_what_made_it(pipeline: Pipeline) -> None:
    commands = {read_run(path.parent)["identity"]["command"] for path in pipeline.exp.rglob("run.json")}
    assert commands == {
        "make-lang",
        "make-fbank",
        "flat-start",
        "align",
        "train",
        "make-soft-targets",
        "distill",
        "make-graph",
        "decode",
        "score",
        "make-bundle",
    }


def test_nothing_is_left_of_checkpoints_and_temporary_files(pipeline: Pipeline) -> None:
    left = [
        path for path in Path(pipeline.exp).rglob("*") if path.name.startswith("checkpoint") or path.suffix == ".tmp"
    ]
    assert left == []
