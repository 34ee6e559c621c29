"""`asr-kd train`: what does not belong together is refused, what is done is not done again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tone_pipeline import CONTEXT, RATE, TINY_NET, Pipeline

from asr_kd.cli.main import main
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, log_prior
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel
from asr_kd.stage import write_json
from asr_kd.train.checkpoint import CHECKPOINT_FILE
from asr_kd.train.model_training import TrainingData
from asr_kd.train.selection import draw_utterances


def train(pipeline: Pipeline, out: Path, *flags: object, command: str = "train", **instead: Path) -> int:
    exp = pipeline.exp
    paths = {
        "frames": exp / "frames/train",
        "labels": exp / "ali/train",
        "dev_frames": exp / "frames/dev",
        "dev_labels": exp / "ali/dev",
    } | instead
    named = [f"--{name.replace('_', '-')}={paths[name]}" for name in ("labels", "dev_frames", "dev_labels")]
    words = [*TINY_NET, "--num-epochs", 1, *named, *flags, "--", paths["frames"], out]
    return main([command, *map(str, words)])


def other_frames(pipeline: Pipeline, out: Path, *flags: object, data: str = "dev") -> Path:
    words = ["--sample-rate", RATE, *CONTEXT, *flags, pipeline.tones / "data" / data, out]
    assert main(["make-fbank", *map(str, words)]) == 0
    return out


def test_a_model_says_what_it_was_trained_on_and_how_often_each_state_occurs(pipeline: Pipeline) -> None:
    labels = Labels.load(pipeline.exp / "ali/train")
    model = AcousticModel.load(pipeline.members[0])
    assert model.card.trained_on == (str(pipeline.exp / "frames/train"),)
    assert model.card.states_fingerprint == labels.states_fingerprint
    assert model.card.num_pdfs == labels.num_pdfs
    np.testing.assert_array_equal(model.log_prior, log_prior([labels.pdfs], labels.num_pdfs))
    assert not (pipeline.members[0] / CHECKPOINT_FILE).exists()


def test_two_labels_of_the_same_frames_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    other = shutil.copytree(pipeline.exp / "ali/train", tmp_path / "other")
    given = [*TINY_NET, "--labels", pipeline.exp / "ali/train", other, *pipeline.dev]
    assert main(["train", *map(str, given), "--", str(pipeline.exp / "frames/train"), str(tmp_path / "out")]) == 1
    assert f"ali/train and {other} are labels of the same frames; name one of them" in complaint()


def test_the_order_of_labels_does_not_matter(pipeline: Pipeline, tmp_path: Path) -> None:
    exp = pipeline.exp
    stores = (exp / "frames/train", exp / "frames/test")
    labels = (exp / "ali/train", exp / "ali/test")
    for name, ordered in (("one", labels), ("other", labels[::-1])):
        words = [*TINY_NET, "--num-epochs", 1, "--labels", *ordered, *pipeline.dev, "--", *stores, tmp_path / name]
        assert main(["train", *map(str, words)]) == 0
    assert (tmp_path / "one" / MODEL_FILE).read_bytes() == (tmp_path / "other" / MODEL_FILE).read_bytes()


def test_dev_frames_of_other_features_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    """Same frames, same widths, another normalisation: nothing but the fingerprint tells."""
    dev = other_frames(pipeline, tmp_path / "dev", "--cmvn", "none")
    assert train(pipeline, tmp_path / "out", dev_frames=dev) == 1
    message = complaint()
    assert str(dev) in message
    assert str(pipeline.exp / "frames/train") in message


def test_watched_frames_of_other_features_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    other = other_frames(pipeline, tmp_path / "test", "--cmvn", "none", data="test")
    watched = ("--watch-frames", other, "--watch-labels", pipeline.exp / "ali/test")
    assert train(pipeline, tmp_path / "out", *watched) == 1
    message = complaint()
    assert f"{other} holds features" in message
    assert str(pipeline.exp / "frames/train") in message


def test_labels_of_other_frames_are_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    assert train(pipeline, tmp_path / "out", labels=pipeline.exp / "ali/test") == 1
    assert str(pipeline.exp / "ali/test") in complaint()
    assert train(pipeline, tmp_path / "out", dev_labels=pipeline.exp / "ali/train") == 1
    assert str(pipeline.exp / "ali/train") in complaint()


def test_frames_without_a_single_label_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    """The labels given are those of the dev set, which is there too."""
    assert train(pipeline, tmp_path / "out", labels=pipeline.exp / "ali/dev") == 1
    assert str(pipeline.exp / "frames/train") in complaint()


def test_the_dev_sets_labels_are_none_to_train_on(pipeline: Pipeline) -> None:
    frames, labels = pipeline.exp / "frames/dev", pipeline.exp / "ali/dev"
    assert TrainingData.load([frames], [], frames, labels).labels == [None]
    assert TrainingData.load([frames], [labels], frames, labels).labels != [None]


@pytest.mark.parametrize(("command", "seeds"), [("train", ()), ("train-members", ("--seeds", 1, 2))])
def test_a_draw_of_utterances_without_a_label_is_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str], command: str, seeds: tuple[object, ...]
) -> None:
    store, labels = FrameStore(pipeline.exp / "frames/train"), tmp_path / "ali"
    shutil.copytree(pipeline.exp / "ali/train", labels)
    drawn_N = np.repeat(draw_utterances(store.index, 0.01, seed=1), store.index.counts)
    np.save(labels / "pdfs.npy", np.where(drawn_N, -1, np.load(labels / "pdfs.npy")).astype(np.int32))
    flags = ("--train-fraction", 0.01, *seeds)
    assert train(pipeline, tmp_path / "out", *flags, command=command, labels=labels) == 1
    assert "no labelled frame is left to train on" in complaint()


def test_what_is_done_is_not_done_again_and_other_options_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    out = tmp_path / "out"
    assert train(pipeline, out) == 0
    made = (out / MODEL_FILE).stat().st_mtime_ns
    assert train(pipeline, out, "--checkpoint-seconds", 5) == 0
    assert (out / MODEL_FILE).stat().st_mtime_ns == made
    assert train(pipeline, out, "--seed", 2) == 1
    assert "--seed 1 (now 2)" in complaint()


def test_a_partial_directory_is_not_taken_for_a_finished_one(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    assert train(pipeline, tmp_path / "whole") == 0
    (tmp_path / "whole").rename(tmp_path / "out.partial")
    (tmp_path / "out.partial/identity.json").unlink(missing_ok=True)
    model = AcousticModel.load(tmp_path / "out.partial")
    words = [pipeline.exp / "frames/dev", tmp_path / "out", tmp_path / "soft"]
    assert main(["make-soft-targets", *map(str, words)]) == 1
    assert "its stage was interrupted: run it again" in complaint()
    # What made it is not known, so it is made anew; the seed makes it the same.
    assert train(pipeline, tmp_path / "out") == 0
    assert AcousticModel.load(tmp_path / "out").fingerprint == model.fingerprint


def test_a_run_stopped_after_its_model_was_saved_only_finishes(pipeline: Pipeline, tmp_path: Path) -> None:
    assert train(pipeline, tmp_path / "out") == 0
    identity = json.loads((tmp_path / "out/run.json").read_text())["identity"]
    (tmp_path / "out").rename(tmp_path / "out.partial")
    write_json(tmp_path / "out.partial/identity.json", {"identity": identity, "sessions": [[0.0, None]]})
    made = (tmp_path / "out.partial" / MODEL_FILE).stat().st_mtime_ns
    assert train(pipeline, tmp_path / "out") == 0
    assert (tmp_path / "out" / MODEL_FILE).stat().st_mtime_ns == made


@pytest.mark.parametrize("what", ["frames", "labels", "dev_frames", "dev_labels"])
def test_an_input_that_is_not_there_is_one_line(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str], what: str
) -> None:
    assert train(pipeline, tmp_path / "out", **{what: tmp_path / "absent"}) == 1
    assert f"{tmp_path / 'absent'}: no such directory" in complaint()
