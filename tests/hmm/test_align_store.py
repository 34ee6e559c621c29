"""`asr-kd align`: every utterance that can be aligned is, and each that cannot is named with the reason."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tone_pipeline import Pipeline

from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import Utterance, load_data_dir, write_data_dir
from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.align_store import AlignOptions, Language, align_store
from asr_kd.hmm.forced_alignment import align_utterances
from asr_kd.hmm.labels import DROPPED_FILE, Labels
from asr_kd.hmm.states import StateInventory, monophone_states
from asr_kd.lang.lexicon import Lexicon
from asr_kd.nets.acoustic_model import AcousticModel


@pytest.fixture
def utterances(pipeline: Pipeline) -> list[Utterance]:
    return load_data_dir(pipeline.tones / "data/dev")


def changed(utterances: Sequence[Utterance], words: dict[int, tuple[str, ...] | None], path: Path) -> Path:
    """The data directory with other transcripts."""
    write_data_dir(
        path,
        [
            Utterance(id=u.id, speaker=u.speaker, audio=u.audio, words=words.get(number, u.words))
            for number, u in enumerate(utterances)
        ],
    )
    return path


def align(pipeline, data: Path, out: Path, **instead: Path) -> int:
    exp = pipeline.exp
    paths = {"lang": exp / "lang", "frames": exp / "frames/dev", "model": exp / "mono"} | instead
    return main(["align", str(data), *(str(paths[name]) for name in ("lang", "frames", "model")), str(out)])


def test_every_frame_of_an_aligned_utterance_has_one_of_its_words_states(
    pipeline: Pipeline, utterances: list[Utterance]
) -> None:
    labels = Labels.load(pipeline.exp / "ali/dev")
    states = StateInventory.load(pipeline.exp / "lang")
    store = FrameStore(pipeline.exp / "frames/dev")
    lexicon = dict(line.split(maxsplit=1) for line in (pipeline.exp / "lang/lexicon.txt").read_text().splitlines())
    assert labels.meta["num_dropped_utterances"] == 0
    for utterance, (name, frames) in zip(utterances, store.index.slices(), strict=True):
        assert utterance.id == name
        pdfs = labels.pdfs[frames]
        path = [int(pdf) for place, pdf in enumerate(pdfs) if place == 0 or pdf != pdfs[place - 1]]
        silence = states.phones[states.silence]
        spoken = [pdf for pdf in path if pdf not in silence]
        phones = [phone for word in utterance.words or () for phone in lexicon[word].split()]
        assert spoken == [pdf for phone in phones for pdf in states.phones[phone]]


def test_what_cannot_be_aligned_is_dropped_and_named_and_the_rest_stays(
    pipeline: Pipeline, utterances: list[Utterance], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = changed(utterances, {1: None, 4: ("DAC",) * 60}, tmp_path / "data")
    with caplog.at_level(logging.WARNING, "asr_kd"):
        assert align(pipeline, data, tmp_path / "ali") == 0
    labels, whole = Labels.load(tmp_path / "ali"), Labels.load(pipeline.exp / "ali/dev")
    store = FrameStore(pipeline.exp / "frames/dev")
    for number, (_, frames) in enumerate(store.index.slices()):
        expected = np.full_like(whole.pdfs[frames], -1) if number in (1, 4) else whole.pdfs[frames]
        np.testing.assert_array_equal(labels.pdfs[frames], expected)
    rows = dict(line.split("\t") for line in (tmp_path / "ali" / DROPPED_FILE).read_text().splitlines())
    assert rows.keys() == {utterances[1].id, utterances[4].id}
    assert rows[utterances[1].id] == "no transcript"
    assert "too short" in rows[utterances[4].id]
    for utterance, reason in rows.items():
        assert f"{utterance}: dropped, {reason}" in caplog.text


def test_several_processes_give_the_same_labels(pipeline: Pipeline, tmp_path: Path) -> None:
    exp, data = pipeline.exp, pipeline.tones / "data/dev"
    words = [str(word) for word in (data, exp / "lang", exp / "frames/dev", exp / "mono", tmp_path / "ali")]
    assert main(["align", "--nj", "2", *words]) == 0
    np.testing.assert_array_equal(Labels.load(tmp_path / "ali").pdfs, Labels.load(exp / "ali/dev").pdfs)


def test_the_scores_are_log_posteriors_less_the_log_prior(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    lexicon = Lexicon((("A", ("x", "y")), ("B", ("y",))))
    states = monophone_states(lexicon, "SIL", 2, 1)
    store = make_store([30, 25, 40])
    model = make_model(store, num_pdfs=states.num_pdfs)
    model.log_prior = torch.log_softmax(torch.tensor([4.0, 0.0, 2.0, -2.0, 1.0]), dim=0)
    transcripts = {name: ("A", "B", "A") for name, _ in store.index.slices()}
    found, dropped = align_store(
        model, store, transcripts, Language(lexicon, states), AlignOptions(), device=torch.device("cpu")
    )
    assert not dropped

    def aligned(log_prior: torch.Tensor) -> np.ndarray:
        scores = {
            name: (model.log_posteriors(store.windows(frames)) - log_prior).numpy()
            for name, frames in store.index.slices()
        }
        items = [(name, transcripts[name], own) for name, own in scores.items()]
        paths = [path.pdfs for path in align_utterances(items, lexicon, states)]
        return np.concatenate([path for path in paths if path is not None])

    np.testing.assert_array_equal(found, aligned(model.log_prior))
    assert (found != aligned(torch.zeros(5))).any()


def test_nothing_that_can_be_aligned_is_an_error(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    assert align(pipeline, pipeline.tones / "data/extra", tmp_path / "ali", frames=pipeline.exp / "frames/extra") == 1
    assert "utterances cannot be aligned" in complaint()
    assert not (tmp_path / "ali").exists()


def test_words_outside_the_lexicon_are_all_named(
    pipeline: Pipeline, utterances: list[Utterance], tmp_path: Path, complaint: Callable[[], str]
) -> None:
    data = changed(utterances, {0: ("AB", "XY"), 2: ("ZW", "XY")}, tmp_path / "data")
    assert align(pipeline, data, tmp_path / "ali") == 1
    message = complaint()
    assert "XY (2x" in message
    assert "ZW (1x" in message


def test_a_model_of_other_states_is_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    data = pipeline.tones / "data/dev"
    other = tmp_path / "lang"
    assert main(["make-lang", "--num-states", "2", str(data), str(pipeline.tones / "lexicon.txt"), str(other)]) == 0
    assert align(pipeline, data, tmp_path / "ali", lang=other) == 1
    message = complaint()
    for part in (str(pipeline.exp / "mono"), str(other), StateInventory.load(other).fingerprint):
        assert part in message


def test_a_model_of_other_features_is_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    data = pipeline.tones / "data/dev"
    assert main(["make-fbank", "--sample-rate", "8000", str(data), str(tmp_path / "frames")]) == 0
    assert align(pipeline, data, tmp_path / "ali", frames=tmp_path / "frames") == 1
    assert "make the frame store with the model's options" in complaint()


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_would_align_anything_is_refused(scale: float) -> None:
    with pytest.raises(UsageError, match="--align-scale must be above 0"):
        AlignOptions(align_scale=scale)
