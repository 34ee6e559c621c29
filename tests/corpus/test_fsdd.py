"""FSDD strings: verified recordings, none of them in two splits, joined without a trace, text that is what is heard."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.cli.main import main
from asr_kd.corpus import noise
from asr_kd.corpus.audio import read_audio
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.corpus.fsdd import FsddOptions, JoinedString, plan_strings, share_recordings
from asr_kd.corpus.fsdd_recordings import SAMPLE_RATE, SHA256, Recording, checksum, load_recordings
from asr_kd.corpus.joining import deal, join
from asr_kd.corpus.strings import DIGIT_WORDS
from asr_kd.errors import DataError, UsageError
from asr_kd.options import parse, read_conf
from asr_kd.stage import checksums

CONF = Path(__file__).parents[2] / "recipes/fsdd/conf"
SPEAKERS = ("anna", "ben", "cleo", "dan", "eva", "finn")
FEW = ["--train-strings=12", "--augmented-strings=12", "--dev-strings=8", "--test-strings=8"]
FEW += ["--dev-recordings=1", "--checksum=any"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder shaped like the dataset's repository, with noise bursts for digits."""
    root = tmp_path_factory.mktemp("repository")
    (root / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for speaker in SPEAKERS:
        for digit in range(10):
            for index in range(8):
                samples = 3000 * rng.standard_normal(1600 + 80 * digit) * np.hanning(1600 + 80 * digit)
                path = root / f"recordings/{digit}_{speaker}_{index}.wav"
                soundfile.write(path, samples.astype(np.int16), SAMPLE_RATE)
    return root


@pytest.fixture(scope="module")
def recordings(repository: Path) -> list[Recording]:
    return load_recordings(repository)


@pytest.fixture(scope="module")
def fsdd() -> Path:
    folder = Path(os.environ.get("ASR_KD_CORPORA", "")) / "fsdd"
    if not (folder / "data").is_dir():
        pytest.skip("FSDD is not there: ASR_KD_CORPORA names no folder that holds fsdd/data")
    return folder


# Reading and verifying


def test_the_real_corpus_has_the_known_checksum_and_the_official_split(fsdd: Path) -> None:
    found = load_recordings(fsdd)
    assert checksum(found) == SHA256
    assert len(found) == 3000
    assert all(r.is_official_test == (int(r.name.split("_")[2]) < 5) for r in found)
    assert all(r.word == DIGIT_WORDS[int(r.name[0])] and r.name.split("_")[1] == r.speaker for r in found)


def test_wav_files_of_the_repository_have_the_checksum_of_the_flac_files(fsdd: Path, tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    for path in (fsdd / "audio").glob("[03]_[gt]*_1*.flac"):
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(tmp_path / "recordings" / f"{path.stem}.wav", samples, rate)
    from_wav = load_recordings(tmp_path)
    names = {r.name for r in from_wav}
    from_flac = [r for r in load_recordings(fsdd) if r.name in names]
    assert len(from_wav) == 2 * 2 * 11
    assert checksum(from_wav) == checksum(from_flac)


def test_the_repository_is_read_with_the_first_five_recordings_as_test(recordings: list[Recording]) -> None:
    assert len(recordings) == 6 * 10 * 8
    assert [r.name for r in recordings] == sorted(r.name for r in recordings)
    assert Counter((r.speaker, r.word) for r in recordings if r.is_official_test) == {
        (speaker, word): 5 for speaker in SPEAKERS for word in DIGIT_WORDS
    }


def test_a_changed_copy_is_refused(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["make-fsdd", str(repository), str(tmp_path / "data"), "--protocol=official"]) == 1
    said = capsys.readouterr().err
    assert "480 recordings" in said
    assert SHA256 in said
    assert not list(tmp_path.iterdir())


def test_one_changed_sample_changes_the_checksum(recordings: list[Recording]) -> None:
    before = checksum(recordings)
    recordings[7].samples[100] += 1 / 32768
    after = checksum(recordings)
    recordings[7].samples[100] -= 1 / 32768
    assert after != before == checksum(recordings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "neither data/train and data/test nor recordings/"),
        (lambda root: (root / "recordings").mkdir(), "no recordings named"),
        (lambda root: _one_file(root, "zero_anna_1.wav", SAMPLE_RATE), "not named <digit>_<speaker>_<index>.wav"),
        (lambda root: _one_file(root, "0_anna_1.wav", 16000), "16000 Hz, expected 8000"),
    ],
)
def test_what_is_not_a_copy_of_fsdd_is_an_error(make: object, message: str, tmp_path: Path) -> None:
    make(tmp_path)  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        load_recordings(tmp_path)


def _one_file(root: Path, name: str, rate: int) -> None:
    (root / "recordings").mkdir()
    soundfile.write(root / "recordings" / name, np.zeros(800), rate)


# Which recordings go where


def test_official_never_uses_a_recording_in_two_splits(recordings: list[Recording]) -> None:
    options = FsddOptions(protocol="official", dev_recordings=1)
    used = _recordings_used(recordings, options)
    assert not used["train"] & used["dev"]
    assert not (used["train"] | used["dev"]) & used["test"]
    by_name = {r.name: r for r in recordings}
    assert all(by_name[name].is_official_test for name in used["test"])
    assert not any(by_name[name].is_official_test for name in used["train"] | used["dev"])
    assert Counter(by_name[name].speaker for name in used["dev"]) == dict.fromkeys(SPEAKERS, 10)


def test_held_out_speakers_are_in_test_only_and_three_folds_test_all(recordings: list[Recording]) -> None:
    tested: list[str] = []
    for fold in (1, 2, 3):
        shares = share_recordings(recordings, FsddOptions(protocol="held-out", fold=fold))
        assert not set(shares["test"]) & (set(shares["train"]) | set(shares["dev"]))
        assert set(shares["train"]) == set(shares["dev"])
        tested += shares["test"]
        used = _recordings_used(recordings, FsddOptions(protocol="held-out", fold=fold))
        assert not used["train"] & used["dev"]
    assert sorted(tested) == sorted(SPEAKERS)


def test_named_speakers_can_be_held_out(recordings: list[Recording]) -> None:
    options = FsddOptions(protocol="held-out", test_speakers=("ben", "eva"))
    assert set(share_recordings(recordings, options)["test"]) == {"ben", "eva"}
    with pytest.raises(UsageError, match="zoe: no such speaker; there are anna"):
        share_recordings(recordings, FsddOptions(protocol="held-out", test_speakers=("zoe",)))
    with pytest.raises(UsageError, match="no recordings are left for train"):
        share_recordings(recordings, FsddOptions(protocol="held-out", test_speakers=SPEAKERS))


def test_every_test_recording_is_used_equally_often(recordings: list[Recording]) -> None:
    options = FsddOptions(protocol="official", dev_recordings=1, test_strings=240)
    strings = plan_strings(share_recordings(recordings, options), options)["test"]
    uses = Counter(r.name for s in strings if isinstance(s, JoinedString) for r in s.recordings)
    assert len(uses) == 300
    assert {3, 4, 5} >= set(uses.values())


def _recordings_used(recordings: list[Recording], options: FsddOptions) -> dict[str, set[str]]:
    plan = plan_strings(share_recordings(recordings, options), options)
    return {
        split: {r.name for s in strings if isinstance(s, JoinedString) for r in s.recordings}
        for split, strings in plan.items()
    }


@settings(max_examples=50, deadline=None)
@given(num_recordings=st.integers(1, 20), num_strings=st.integers(0, 30), seed=st.integers(0, 99))
def test_dealing_uses_recordings_evenly(num_recordings: int, num_strings: int, seed: int) -> None:
    blank = np.zeros(1, np.float32)
    cards = [
        Recording(name=str(i), speaker="anna", word="ONE", is_official_test=False, samples=blank)
        for i in range(num_recordings)
    ]
    strings = list(deal(cards, num_strings, 3, 7, np.random.default_rng(seed)))
    uses = Counter(r.name for string in strings for r in string)
    assert len(strings) == num_strings
    assert all(3 <= len(string) <= 7 for string in strings)
    assert max(uses.values(), default=0) - min((uses[r.name] for r in cards), default=0) <= 1


# Joining


def _steady(num_samples: int, floor: float, seed: int) -> Recording:
    """A burst of loud noise with a quiet tenth at both ends."""
    samples = np.random.default_rng(seed).standard_normal(num_samples).astype(np.float32)
    quiet = num_samples // 10
    gain = np.full(num_samples, 0.1, np.float32)
    gain[:quiet] = gain[-quiet:] = floor
    return Recording(name="x", speaker="anna", word="ONE", is_official_test=False, samples=samples * gain + 0.05)


def test_a_string_holds_its_recordings_pauses_and_margins() -> None:
    digits = [_steady(4000, 0.001, seed) for seed in range(5)]
    samples = join(digits, -26.0, np.random.default_rng(0))
    assert 5 * 4000 + 0.2 * SAMPLE_RATE <= len(samples) <= 5 * 4000 + (0.8 + 4 * 0.5) * SAMPLE_RATE


def test_pauses_and_margins_have_the_noise_floor_of_the_recordings() -> None:
    digits = [_steady(4000, 0.002, seed) for seed in range(4)]
    samples = join(digits, -26.0, np.random.default_rng(1))
    loudness_db = 10 * np.log10(noise.active_power(samples, SAMPLE_RATE) / noise.power(samples[:700]))
    assert loudness_db == pytest.approx(20 * np.log10(0.1 / 0.002), abs=2.5)
    assert abs(np.mean(samples)) < 1e-3  # the recordings' offset of 0.05 is gone


def test_a_joint_does_not_click() -> None:
    # Recordings cut in the middle of a tone: without fades a step of up to 0.1 from one sample to the next.
    cut = np.cos(2 * np.pi * 50 * np.arange(2000) / SAMPLE_RATE).astype(np.float32)
    digit = Recording(name="x", speaker="anna", word="ONE", is_official_test=False, samples=cut)
    samples = join([digit] * 6, -26.0, np.random.default_rng(0))
    assert np.max(np.abs(np.diff(samples))) < 0.2 * np.max(np.abs(samples))


def test_speed_shortens_and_shifts_the_pitch_up() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(8000) / SAMPLE_RATE).astype(np.float32)
    digit = Recording(name="x", speaker="anna", word="ONE", is_official_test=False, samples=tone)
    normal, fast = (join([digit] * 3, -26.0, np.random.default_rng(0), speed=speed) for speed in (1.0, 1.25))
    assert len(normal) - len(fast) == pytest.approx(3 * 8000 * (1 - 1 / 1.25), abs=5)
    for samples, pitch in ((normal, 500), (fast, 625)):
        assert np.argmax(np.abs(np.fft.rfft(samples))) * SAMPLE_RATE / len(samples) == pytest.approx(pitch, abs=2)


# The command


def test_the_command_makes_valid_data_that_is_the_same_for_a_seed(repository: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        options = ["--protocol=official", *FEW, "--seed", seed]
        assert main(["make-fsdd", str(repository), str(tmp_path / name), *options]) == 0
    first, same, other = (checksums(tmp_path / name) for name in "abc")
    assert first == same
    assert first != other
    for split, strings in (("train", 24), ("dev", 8), ("test", 8)):
        assert main(["validate-data", str(tmp_path / "a" / split)]) == 0
        assert len(load_data_dir(tmp_path / "a" / split)) == strings
    assert not (tmp_path / "a/extra").exists()


def test_a_finished_corpus_is_left_alone_and_other_options_are_refused(repository: Path, tmp_path: Path) -> None:
    command = ["make-fsdd", str(repository), str(tmp_path / "data"), *FEW]
    assert main([*command, "--protocol=official"]) == 0
    made = (tmp_path / "data/run.json").stat().st_mtime_ns
    assert main([*command, "--protocol=official"]) == 0
    assert (tmp_path / "data/run.json").stat().st_mtime_ns == made
    assert main([*command, "--protocol=held-out"]) == 1


def test_synthetic_strings_are_added_and_extra_has_no_text(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="the optional extra 'synthesis' is not installed")
    options = [*FEW, "--protocol=held-out", "--synthetic-strings=7", "--extra-strings=10"]
    assert main(["make-fsdd", str(repository), str(tmp_path / "data"), *options]) == 0
    train = load_data_dir(tmp_path / "data/train")
    assert sum(u.speaker.startswith("espeak") for u in train) == 7
    assert len(load_data_dir(tmp_path / "data/extra", need_text=False)) == 10
    assert not (tmp_path / "data/extra/text").exists()
    for utterance in train:
        assert 0.01 < np.max(np.abs(read_audio(utterance, sample_rate=SAMPLE_RATE))) <= 0.9501


def test_the_text_of_a_real_string_names_its_recordings(fsdd: Path, tmp_path: Path) -> None:
    # Each recording is found again in the string by the peak of its cross-correlation, and in the text's order.
    options = ["--protocol=official", *FEW]
    assert main(["make-fsdd", str(fsdd), str(tmp_path / "data"), *options]) == 0
    fsdd_options = FsddOptions(
        protocol="official", train_strings=12, augmented_strings=12, dev_strings=8, test_strings=8, dev_recordings=1
    )
    planned = plan_strings(share_recordings(load_recordings(fsdd), fsdd_options), fsdd_options)["test"]
    for utterance, string in zip(load_data_dir(tmp_path / "data/test"), planned, strict=True):
        assert isinstance(string, JoinedString)
        assert utterance.id == string.id
        samples = read_audio(utterance, sample_rate=SAMPLE_RATE)
        places = [np.argmax(np.correlate(samples, r.samples - np.mean(r.samples))) for r in string.recordings]
        assert utterance.words == tuple(r.word for r in string.recordings)
        assert list(np.argsort(places)) == list(range(len(places)))


# The recipe


def test_the_recipe_has_a_conf_that_parses_and_a_lexicon_of_all_words() -> None:
    parse(FsddOptions, [*read_conf(CONF / "corpus.conf"), "--protocol=official"], command="make-fsdd", description="")
    assert {line.split()[0] for line in (CONF / "lexicon.txt").read_text().splitlines()} == set(DIGIT_WORDS)


def test_without_a_protocol_or_with_a_wrong_one_usage_is_wrong(repository: Path, tmp_path: Path) -> None:
    command = ["make-fsdd", str(repository), str(tmp_path / "data")]
    assert main(command) == 2
    assert main([*command, "--protocol=other"]) == 2
    assert main([*command, "--protocol=official", "--test-speakers", "anna"]) == 2
    assert main([*command, "--protocol=official", "--speed-factors", "3"]) == 2
    assert not list(tmp_path.iterdir())


def test_a_damaged_recording_is_an_error_that_names_it(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(repository, tmp_path / "copy")
    damaged = tmp_path / "copy/recordings/3_cleo_2.wav"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    command = ["make-fsdd", str(tmp_path / "copy"), str(tmp_path / "data"), "--protocol=official", "--checksum=any"]
    assert main(command) == 1
    assert "3_cleo_2.wav" in capsys.readouterr().err
