"""States in context on the corpus of tones: the commands from a flat start to words, with n-grams and unknown words."""

import json
from pathlib import Path

import numpy as np
import pytest
from tone_pipeline import TINY_NET, Pipeline, asr_kd

from asr_kd.hmm.labels import Labels
from asr_kd.hmm.states import StateInventory
from asr_kd.score.decoded import read_decoded


@pytest.fixture(scope="module")
def exp(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stage 4 and the stages after it make; one word of the lexicon is taken for unknown ones."""
    tones, mono = pipeline.tones, pipeline.exp
    exp = tmp_path_factory.mktemp("tied")
    lexicon = (tones / "lexicon.txt").read_text().splitlines()
    (exp / "lexicon.txt").write_text("\n".join([*lexicon[:-1], "<unk> D A C"]) + "\n")
    flags = ("--num-states", 3, "--silence-states", 3, "--oov-word", "<unk>")
    asr_kd("make-lang", *flags, tones / "data/train", exp / "lexicon.txt", exp / "lang")
    tying = ("--num-leaves", 60, "--min-frames", 20)
    inputs = (exp / "lang", mono / "frames/train", mono / "ali/train", mono / "mono")
    asr_kd("tie-states", *tying, *inputs, exp / "tied")
    watched = ("--dev-frames", mono / "frames/train", "--dev-labels", exp / "tied")
    train = (*TINY_NET, "--num-epochs", 4, *watched, "--labels", exp / "tied")
    asr_kd("train", *train, "--", mono / "frames/train", exp / "tied_model")
    for split in ("train", "dev", "test"):
        frames = mono / f"frames/{split}"
        asr_kd("align", tones / "data" / split, exp / "tied", frames, exp / "tied_model", exp / f"ali/{split}")
    vocabulary = ("--order", 2, "--vocabulary", exp / "lexicon.txt")
    asr_kd("train-lm", *vocabulary, "--", tones / "data/train", exp / "lm")
    asr_kd("make-graph", "--grammar", "arpa", "--arpa", exp / "lm/lm.arpa.gz", exp / "tied", exp / "graph")
    decoding = [str(word).replace(str(mono / "ali"), str(exp / "ali")) for word in pipeline.decoding]
    asr_kd("decode", "--name", "baseline", *decoding, "--", exp / "graph", exp / "tied_model", exp / "decode")
    return exp


def test_phones_sound_different_between_other_neighbours(exp: Path) -> None:
    states = StateInventory.load(exp / "tied")
    assert states.context_dependent
    assert 18 < states.num_pdfs <= 60
    labels = Labels.load(exp / "tied")
    assert labels.states_fingerprint == states.fingerprint
    assert set(np.unique(labels.pdfs)) == set(range(states.num_pdfs))


def test_realigned_labels_agree_with_those_the_trees_were_grown_from(exp: Path) -> None:
    before, after = Labels.load(exp / "tied").pdfs, Labels.load(exp / "ali/train").pdfs
    assert np.mean(before == after) > 0.8


def test_known_words_are_recognised_and_the_unknown_one_is_never_put_out(exp: Path) -> None:
    found = read_decoded(exp / "decode")
    said = [word for words in found.hypotheses() for word in words]
    meant = [word for words in found.references() for word in words]
    assert "DAC" in meant and "DAC" not in said and "<unk>" not in said
    unknown = meant.count("DAC") / len(meant)
    assert found.words.wer < unknown * 1.5 + 0.05
    assert json.loads((exp / "decode/system.json").read_text())["dev_wer"] < 1


def test_monophones_and_tied_states_are_not_mixed(
    exp: Path, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    mono = pipeline.exp
    frames, labels = mono / "frames/train", mono / "ali/train"
    with pytest.raises(AssertionError):
        asr_kd("tie-states", exp / "tied", frames, labels, mono / "mono", exp / "again")
    assert "its states are tied already" in capsys.readouterr().err
    with pytest.raises(AssertionError):
        asr_kd("align", pipeline.tones / "data/train", exp / "tied", frames, mono / "mono", exp / "wrong")
    assert f"{exp / 'tied'} is of the states" in capsys.readouterr().err
