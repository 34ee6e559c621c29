"""The synthetic digit corpus: the same for any number of jobs, its splits apart, its text what is spoken."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr_kd.cli.main import main
from asr_kd.corpus.audio import duration, read_audio, read_audio_file
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.corpus.digits import DigitsOptions, plan_speakers
from asr_kd.corpus.strings import CHATTER, DIGIT_WORDS
from asr_kd.corpus.wav import write_wav
from asr_kd.options import parse, read_conf
from asr_kd.stage import checksums

pytest.importorskip("espeakng_loader", reason="the optional extra 'synthesis' is not installed")

CONF = Path(__file__).parents[2] / "recipes/digits/conf"
SMALL = ["--train-hours=0.02", "--extra-hours=0.01", "--dev-utterances=12", "--test-utterances=23"]
NO_MORE = ["--extra-hours=0", "--dev-utterances=1", "--test-utterances=1"]
CLEAN = ["--noise-probability=0", "--reverb-probability=0"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits") / "data"
    assert main(["make-digits", str(out), *SMALL]) == 0
    return out


def count_bursts(samples: np.ndarray, sample_rate: int) -> int:
    """Stretches within 30 dB of the loudest 10 ms; those less than 0.12 s apart are one."""
    size = sample_rate // 100
    powers = np.mean(samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64) ** 2, axis=1)
    loud = np.flatnonzero(powers > powers.max() * 1e-3)
    return 1 + int(np.sum(np.diff(loud) > 12))


def test_the_corpus_is_the_same_byte_for_byte_for_any_number_of_jobs(corpus: Path, tmp_path: Path) -> None:
    assert main(["make-digits", str(tmp_path / "data"), *SMALL, "--nj", "1"]) == 0
    assert checksums(tmp_path / "data") == checksums(corpus)


def test_one_utterance_does_not_depend_on_how_many_others_there_are(corpus: Path, tmp_path: Path) -> None:
    more = [*SMALL, "--test-utterances=41", "--extra-hours=0"]
    assert main(["make-digits", str(tmp_path / "data"), *more]) == 0
    fewer, many = checksums(corpus), checksums(tmp_path / "data")
    ours = [name for name in fewer if name.startswith("audio/test")]
    assert len(ours) == 23
    assert all(many[name] == fewer[name] for name in ours)


def test_another_seed_makes_other_speakers_and_another_split_size_the_same() -> None:
    first, other, larger = (
        [speaker.voice for speaker in plan_speakers(DigitsOptions(seed=seed, dev_utterances=dev))["test"]]
        for seed, dev in ((1, 600), (2, 600), (1, 900))
    )
    assert first == larger
    assert not set(first) & set(other)


def test_every_split_is_a_valid_data_directory_and_only_extra_has_no_text(corpus: Path) -> None:
    for split in ("train", "dev", "test"):
        assert main(["validate-data", str(corpus / split)]) == 0
        utterances = load_data_dir(corpus / split)
        assert all(u.words and 3 <= len(u.words) <= 7 and set(u.words) <= set(DIGIT_WORDS) for u in utterances)
    assert not (corpus / "extra/text").exists()
    assert load_data_dir(corpus / "extra", need_text=False)
    assert len(load_data_dir(corpus / "dev")) == 12
    assert len(load_data_dir(corpus / "test")) == 23


def test_the_corpus_can_be_moved(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "moved")
    utterance = load_data_dir(tmp_path / "moved/dev")[0]
    assert utterance.audio.startswith(str(tmp_path))
    assert len(read_audio(utterance, sample_rate=16000))


def test_nothing_clips_and_nothing_is_silent(corpus: Path) -> None:
    for split in ("train", "dev", "test", "extra"):
        for utterance in load_data_dir(corpus / split, need_text=False):
            samples = read_audio(utterance, sample_rate=None)
            assert 0.01 < np.max(np.abs(samples)) <= 0.9501
            assert np.mean(samples == 0) < 0.1


def test_speakers_and_their_accent_variant_pairs_are_in_one_split_only() -> None:
    plan = plan_speakers(DigitsOptions())
    pairs = {split: {(s.voice.accent, s.voice.variant) for s in speakers} for split, speakers in plan.items()}
    splits = list(plan)
    for i, one in enumerate(splits):
        for other in splits[i + 1 :]:
            assert not pairs[one] & pairs[other]
    assert len({s.id for speakers in plan.values() for s in speakers}) == sum(map(len, plan.values()))
    assert {accent for accent, _ in pairs["train"]} == {accent for accent, _ in pairs["test"]}


def test_the_hours_asked_for_are_about_the_hours_made(tmp_path: Path) -> None:
    assert main(["make-digits", str(tmp_path / "data"), "--train-hours=0.1", *NO_MORE]) == 0
    seconds = sum(duration(u) for u in load_data_dir(tmp_path / "data/train"))
    assert seconds / 3600 == pytest.approx(0.1, rel=0.12)


def test_each_word_of_the_text_is_heard(tmp_path: Path) -> None:
    # A pause after every digit, no noise: as many stretches of sound as words. The T of EIGHT and the K of SIX are
    # stretches of their own where a voice closes long before them, so a few more are allowed, but never fewer.
    options = [*SMALL, *CLEAN, *NO_MORE, "--pause-probability=1", "--test-utterances=60"]
    assert main(["make-digits", str(tmp_path / "data"), *options]) == 0
    utterances = load_data_dir(tmp_path / "data/test")
    heard = [count_bursts(read_audio(u, sample_rate=16000), 16000) for u in utterances]
    words = [len(u.words or ()) for u in utterances]
    assert np.mean(np.array(heard) == words) > 0.8
    assert np.corrcoef(heard, words)[0, 1] > 0.9


def test_a_killed_command_leaves_no_process_behind_and_can_be_run_again(tmp_path: Path) -> None:
    program = "from asr_kd.cli.main import program; program()"
    command = [sys.executable, "-c", program, "make-digits", str(tmp_path / "data"), *SMALL, "--test-utterances=3000"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_until(lambda: any((tmp_path / "data.partial").rglob("*.wav")))
    running.kill()
    running.wait()
    wait_until(lambda: not _group_is_alive(running.pid))
    assert not (tmp_path / "data").exists()
    assert main(["make-digits", str(tmp_path / "data"), *SMALL]) == 0
    assert not (tmp_path / "data.partial").exists()
    assert len(load_data_dir(tmp_path / "data/test")) == 23


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(300):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("waited for 30 s")


def _group_is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_full_disk_is_an_error_that_says_so() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_wav(full, np.zeros(100000, np.float32), 16000)


def test_what_would_clip_is_scaled_down_as_a_whole(tmp_path: Path) -> None:
    samples = np.sin(np.arange(1000) / 20).astype(np.float32)
    for gain, written in ((0.5, 0.5), (3.0, 0.95)):
        write_wav(tmp_path / "a.wav", gain * samples, 16000)
        np.testing.assert_allclose(
            read_audio_file(tmp_path / "a.wav", sample_rate=16000), written * samples, atol=2e-3 * written
        )


def test_babble_says_no_digit() -> None:
    assert not set(CHATTER.upper().split()) & set(DIGIT_WORDS)


def test_the_recipe_has_a_conf_that_parses_and_a_lexicon_of_all_words() -> None:
    parse(DigitsOptions, read_conf(CONF / "corpus.conf"), command="make-digits", description="")
    assert {line.split()[0] for line in (CONF / "lexicon.txt").read_text().splitlines()} == set(DIGIT_WORDS)


@pytest.mark.parametrize(
    "wrong",
    ["--train-hours=0", "--min-digits=8", "--sample-rate=44100", "--pause-probability=2", "--extra-hours=-1", "--nj=0"],
)
def test_impossible_options_are_wrong_usage(wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["make-digits", str(tmp_path / "data"), wrong]) == 2
    assert wrong.split("=")[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
