"""recipes/custom: what is asked of the caller's data, and the data directories made of it."""

import gzip
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.corpus.data_dir import Utterance, load_data_dir, write_data_dir
from asr_kd.corpus.wav import write_wav

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}

needs_g2p = pytest.mark.skipif(
    importlib.util.find_spec("phonetisaurus") is None, reason="the optional extra 'g2p' is not installed"
)


def called(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in words]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def run_sh(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    places = ["--data-dir", "made", "--exp-dir", "exp", "--nj", "1"]
    return called(ROOT / "run.sh", "--recipe", "custom", *places, *options, folder=folder)


def speech(folder: Path, name: str, num_speakers: int, *, rate: int = 8000) -> None:
    """A data directory of noise, with a word and a name for each utterance."""
    rng = np.random.default_rng(num_speakers)
    utterances = []
    for speaker in range(num_speakers):
        for number in range(2):
            key = f"{name}{speaker:02}-{number}"
            path = folder / "audio" / f"{key}.wav"
            write_wav(path, rng.normal(0, 0.1, rate // 2).astype(np.float32), rate)
            words = ("ONE", "TWO")[: number + 1]
            utterances.append(Utterance(id=key, speaker=key[:-2], audio=str(path), words=words))
    write_data_dir(folder / name, utterances)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--train DIR is missing"),
        (("--train", "nowhere"), "--train: no such file or directory"),
        (("--train", ".", "--lm-text", "lm.txt"), "--lm-text: no such file or directory"),
        (("--train", ".", "--units", "phones"), "--units phones needs --lexicon"),
        (("--train", ".", "--units", "words"), "phones, sentencepiece or char, not 'words'"),
        (("--train", ".", "--units", "char", "--lexicon", "lexicon"), "takes no --lexicon"),
        (("--train", ".", "--lm-text", "lexicon", "--arpa", "lexicon"), "n-grams come from one of them"),
        (("--train", ".", "--units", "char", "--arpa-large", "lexicon"), "--arpa-large rescores words, not"),
        (
            ("--train", ".", "--lexicon", "lexicon", "--extend-lexicon"),
            "--extend-lexicon needs --lexicon FILE and --lm",
        ),
    ],
)
def test_a_wrong_call_is_refused_before_anything_runs(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    (tmp_path / "lexicon").write_text("ONE W AH N\n")
    done = run_sh(tmp_path, *options)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.startswith("error: ")
    assert not (tmp_path / "made").exists()


def test_everything_wrong_with_the_data_is_listed_and_nothing_is_made(tmp_path: Path) -> None:
    speech(tmp_path, "train", 2)
    with (tmp_path / "train/text").open("a") as file:
        file.write("train99-0 ONE\n")
    (tmp_path / "train/utt2spk").write_text("train00-0 train00\n")
    done = run_sh(tmp_path, "--train", "train", "--stop-stage", "0")
    assert done.returncode == 1
    assert "text:5: 'train99-0' is not in utt2spk" in done.stderr
    assert "wav.scp:2: 'train00-1' is not in utt2spk" in done.stderr
    assert not (tmp_path / "made/train").exists()


def test_one_data_directory_becomes_all_sets_with_speakers_of_their_own(tmp_path: Path) -> None:
    speech(tmp_path, "train", 10)
    done = run_sh(tmp_path, "--train", "train", "--sample-rate", "8000", "--stop-stage", "0")
    assert done.returncode == 0, done.stderr
    speakers = {name: {u.speaker for u in load_data_dir(tmp_path / "made" / name)} for name in ("train", "dev", "test")}
    assert [len(found) for found in speakers.values()] == [8, 1, 1]
    assert len(set.union(*speakers.values())) == 10
    assert {u.speaker[:6] for u in load_data_dir(tmp_path / "made/perturbed")} == {"sp0.9-", "sp1.1-"}
    assert {u.words for u in load_data_dir(tmp_path / "made/extra", need_text=False)} == {None}


def test_sets_that_are_given_are_taken_and_few_speakers_are_divided_by_utterance(tmp_path: Path) -> None:
    for name, num_speakers in (("train", 5), ("test", 1), ("extra", 2)):
        speech(tmp_path, name, num_speakers)
    options = ("--train", "train", "--test", "test", "--extra", "extra", "--sample-rate", "8000")
    done = run_sh(tmp_path, *options, "--stop-stage", "0")
    assert done.returncode == 0, done.stderr
    sizes = {name: len(load_data_dir(tmp_path / "made" / name)) for name in ("train", "dev", "test", "extra")}
    assert sizes == {"train": 9, "dev": 1, "test": 2, "extra": 4}


def test_audio_that_is_missing_is_listed_by_the_check(tmp_path: Path) -> None:
    speech(tmp_path, "train", 2)
    (tmp_path / "audio/train01-0.wav").unlink()
    done = run_sh(tmp_path, "--train", "train", "--stop-stage", "0")
    assert done.returncode == 1
    assert f"wav.scp:3: utterance 'train01-0': {tmp_path}/audio/train01-0.wav: no such audio file" in done.stderr
    assert not (tmp_path / "made").exists()


def test_relative_paths_and_commands_are_meant_from_where_the_caller_stands(tmp_path: Path) -> None:
    """Recordings of two channels, of which only the second has sound that can be heard."""
    speech(tmp_path, "train", 10)
    for number, path in enumerate(sorted((tmp_path / "audio").iterdir())):
        samples, rate = soundfile.read(path)
        soundfile.write(path, np.stack([np.zeros_like(samples), samples], axis=1), rate)
        entry = f"audio/{path.name}" if number % 2 else f"cat audio/{path.name} |"
        scp = tmp_path / "train/wav.scp"
        scp.write_text(scp.read_text().replace(str(path), entry))
    (tmp_path / "corpora").mkdir()
    (tmp_path / "train").rename(tmp_path / "corpora/train")
    options = ("--train", "corpora/train", "--sample-rate", "8000", "--channel", "1", "--allow-commands")
    done = run_sh(tmp_path, *options, "--units", "char", "--stop-stage", "2")
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "exp/frames/train/feats.npy").std(axis=0).min() > 0.1


def test_characters_that_are_spoken_can_be_named(tmp_path: Path) -> None:
    speech(tmp_path, "train", 10)
    text = tmp_path / "train/text"
    text.write_text(text.read_text().replace("TWO", "2-"))
    options = ("--train", "train", "--units", "char", "--sample-rate", "8000", "--stop-stage", "1")
    refused = run_sh(tmp_path, *options)
    assert refused.returncode == 1 and "name in --characters those that are spoken" in refused.stderr
    done = run_sh(tmp_path, *options, "--characters", "-2")
    assert done.returncode == 0, done.stderr
    assert "2- 2_B -\n" in (tmp_path / "exp/lang/lexicon.txt").read_text()


@needs_g2p
def test_words_of_the_text_are_added_to_the_lexicon_and_the_n_grams(tmp_path: Path) -> None:
    speech(tmp_path, "train", 10)
    (tmp_path / "lexicon").write_text("ONE W AH N\nTWO T UW\nTEN T EH N\nNET N EH T\nNEW N UW\n")
    (tmp_path / "book").write_text("TENT ONE\nTENT TWO\nTENNET ONE\n")
    options = ("--train", "train", "--sample-rate", "8000", "--lexicon", "lexicon", "--lm-text", "book")
    done = run_sh(tmp_path, *options, "--extend-lexicon", "--stop-stage", "1")
    assert done.returncode == 0, done.stderr
    words = [line.split()[0] for line in (tmp_path / "exp/lang/lexicon.txt").read_text().splitlines()]
    assert "TENT" in words and "TENNET" not in words
    assert b"\tTENT" in gzip.decompress((tmp_path / "exp/lm/lm.arpa.gz").read_bytes())


@needs_g2p
def test_a_longer_lexicon_that_cannot_be_made_stops_the_run(tmp_path: Path) -> None:
    speech(tmp_path, "train", 10)
    (tmp_path / "lexicon").write_text("ONE W AH N\nTWO T UW\nTEN T EH N\n")
    (tmp_path / "book").write_text("TENT ONE\nTENT TWO\n")
    options = ("--train", "train", "--sample-rate", "8000", "--lexicon", "lexicon", "--lm-text", "book")
    extended = (*options, "--extend-lexicon", "--stop-stage", "1")
    assert run_sh(tmp_path, *extended).returncode == 0
    (tmp_path / "book").write_text("WENT ONE\nWENT TWO\n")
    done = run_sh(tmp_path, *extended)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("asr-kd extend-lexicon: ")


def test_features_take_the_place_of_audio(tmp_path: Path) -> None:
    """Some of them from a command, with a path that is meant from where the caller stands."""
    kaldiio = pytest.importorskip("kaldiio", reason="kaldiio is not installed")
    rng = np.random.default_rng(1)
    for name, count in (("train", 12), ("dev", 2), ("test", 2)):
        folder = tmp_path / name
        folder.mkdir()
        keys = [f"{name}-{number:02}" for number in range(count)]
        matrices = {key: rng.normal(size=(50, 13)).astype(np.float32) for key in keys}
        kaldiio.save_ark(str(folder / "feats.ark"), matrices, scp=str(folder / "feats.scp"))
        (folder / "utt2spk").write_text("".join(f"{key} {name}\n" for key in keys))
        (folder / "text").write_text("".join(f"{key} ONE TWO\n" for key in keys))
    kaldiio.save_mat(str(tmp_path / "one.mat"), rng.normal(size=(50, 13)).astype(np.float32))
    scp = tmp_path / "test/feats.scp"
    scp.write_text(scp.read_text().splitlines()[0] + "\ntest-01 cat one.mat |\n")
    options = ("--train", "train", "--dev", "dev", "--test", "test", "--units", "char", "--stop-stage", "2")
    assert "refused unless --allow-commands" in run_sh(tmp_path, *options).stderr
    done = run_sh(tmp_path, *options, "--allow-commands")
    assert done.returncode == 0, done.stderr
    for name, count in (("train", 12), ("dev", 2), ("test", 2)):
        index = (tmp_path / f"exp/frames/{name}/index.tsv").read_text().splitlines()
        assert len(index) == count + 1
    assert not (tmp_path / "made/extra").exists()


def test_units_reach_the_graphs_files_without_a_lexicon(tmp_path: Path) -> None:
    speech(tmp_path, "train", 10)
    options = ("--train", "train", "--units", "sentencepiece", "--vocab-size", "20", "--sample-rate", "8000")
    done = run_sh(tmp_path, *options, "--stop-stage", "1")
    assert done.returncode == 0, done.stderr
    assert "ONE O_B N E\n" in (tmp_path / "exp/lang/lexicon.txt").read_text()
    assert "▁O O_B\n" in (tmp_path / "exp/units/pieces.txt").read_text()
    assert (tmp_path / "exp/lm/lm.arpa.gz").is_file()


def test_larger_n_grams_are_made_where_the_settings_are_there(tmp_path: Path) -> None:
    speech(tmp_path, "train", 10)
    shutil.copytree(ROOT / "recipes/custom/conf", tmp_path / "conf")
    (tmp_path / "conf/lm_large.conf").write_text("--order=4\n")
    (tmp_path / "lexicon").write_text("ONE W AH N\nTWO T UW\n")
    options = ("--train", "train", "--sample-rate", "8000", "--lexicon", "lexicon", "--conf-dir", "conf")
    done = run_sh(tmp_path, *options, "--stop-stage", "1")
    assert done.returncode == 0, done.stderr
    orders = {name: gzip.decompress((tmp_path / f"exp/{name}/lm.arpa.gz").read_bytes()) for name in ("lm", "lm_large")}
    assert b"ngram 4=" in orders["lm_large"] and b"ngram 4=" not in orders["lm"]
