"""`asr-kd flat-start`: labels settle round by round, and rounds that are done are kept."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tone_pipeline import TINY_NET, Pipeline

from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import Utterance, load_data_dir, write_data_dir
from asr_kd.hmm.labels import Labels
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel
from asr_kd.train import flat_start as flat_start_module

FLAGS = (*TINY_NET, "--num-rounds", 2, "--num-epochs", 1, "--settled", 0)


def flat_start(pipeline: Pipeline, out: Path, *flags: object, data: Path | None = None) -> int:
    exp, data = pipeline.exp, data or pipeline.tones / "data/train"
    return main(["flat-start", *map(str, (*FLAGS, *flags, data, exp / "lang", exp / "frames/train", out))])


def test_labels_settle_and_the_model_is_the_last_rounds(pipeline: Pipeline) -> None:
    mono = pipeline.exp / "mono"
    rounds = json.loads((mono / "rounds.json").read_text())
    changed = [one["changed"] for one in rounds]
    assert [one["round"] for one in rounds] == list(range(1, len(rounds) + 1))
    assert changed == sorted(changed, reverse=True)
    assert changed[-1] <= 0.03 < changed[-2]
    last = mono / f"round-{len(rounds)}"
    assert (mono / MODEL_FILE).read_bytes() == (last / MODEL_FILE).read_bytes()
    before, after = Labels.load(mono / f"round-{len(rounds) - 1}"), Labels.load(last)
    assert changed[-1] == pytest.approx(np.mean(before.pdfs != after.pdfs), abs=1e-4)


def test_an_interrupted_flat_start_carries_on_with_the_round_it_was_in(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert flat_start(pipeline, tmp_path / "whole") == 0
    aligned = []

    def stopped(*args: object, **kwargs: object) -> object:
        aligned.append(args)
        if len(aligned) == 2:
            raise KeyboardInterrupt
        return align_store(*args, **kwargs)

    align_store = flat_start_module.align_store
    with monkeypatch.context() as patched:
        patched.setattr(flat_start_module, "align_store", stopped)
        assert flat_start(pipeline, tmp_path / "cut") == 130
    assert not (tmp_path / "cut").exists()
    partial = tmp_path / "cut.partial"
    kept = {name: (partial / name).stat().st_mtime_ns for name in ("round-1/pdfs.npy", f"round-2/{MODEL_FILE}")}
    assert flat_start(pipeline, tmp_path / "cut") == 0
    assert {name: (tmp_path / "cut" / name).stat().st_mtime_ns for name in kept} == kept
    for file in (MODEL_FILE, "rounds.json", "round-2/pdfs.npy"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_all_rounds_train_with_as_many_threads(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def counted(*args: object, **kwargs: object) -> AcousticModel:
        model = train_model(*args, **kwargs)
        threads.append(torch.get_num_threads())
        return model

    train_model: Callable[..., AcousticModel] = flat_start_module.train_model
    monkeypatch.setattr(flat_start_module, "train_model", counted)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert flat_start(pipeline, tmp_path / "out", "--num-threads", 0) == 0
    finally:
        torch.set_num_threads(before)
    assert threads == [2, 2]


def rewritten(pipeline: Pipeline, path: Path, words: tuple[str, ...] | None) -> Path:
    """The training data with the same transcript everywhere."""
    utterances = load_data_dir(pipeline.tones / "data/train")
    write_data_dir(path, [Utterance(id=u.id, speaker=u.speaker, audio=u.audio, words=words) for u in utterances])
    return path


@pytest.mark.parametrize(("words", "why"), [(None, "no transcript"), (("DAC",) * 90, "too short")])
def test_transcripts_that_fit_no_utterance_are_an_error(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str], words: tuple[str, ...] | None, why: str
) -> None:
    assert flat_start(pipeline, tmp_path / "out", data=rewritten(pipeline, tmp_path / "data", words)) == 1
    message = complaint()
    assert "48 of 48 utterances cannot be aligned" in message
    assert why in message


def test_no_rounds_are_wrong_usage(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    assert flat_start(pipeline, tmp_path / "out", "--num-rounds", 0) == 2
    assert "--num-rounds" in complaint()


def test_the_model_aligns_with_the_prior_of_its_labels(pipeline: Pipeline) -> None:
    prior = AcousticModel.load(pipeline.exp / "mono").log_prior.exp()
    assert float(prior.sum()) == pytest.approx(1, abs=1e-4)
    silence = Labels.load(pipeline.exp / "ali/train").pdfs < 3
    assert float(prior[:3].sum()) == pytest.approx(silence.mean(), abs=0.05)
