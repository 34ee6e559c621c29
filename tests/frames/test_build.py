"""`asr-kd make-fbank`: normalised, padded frames of a data directory, the same for any number of threads."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr_kd.cli.main import main
from asr_kd.corpus.audio import read_audio
from asr_kd.corpus.data_dir import Utterance, load_data_dir, write_data_dir
from asr_kd.frames import build
from asr_kd.frames.fbank import Fbank, FbankOptions
from asr_kd.frames.images import write_images
from asr_kd.frames.store import FEATS_FILE, FrameStore
from asr_kd.stage import fingerprint

RATE = 8000
MakeData = Callable[..., Path]


def make_fbank(*words: object) -> int:
    return main(["make-fbank", "--sample-rate", str(RATE), *map(str, words)])


def made(out: Path, *words: object) -> FrameStore:
    assert make_fbank(*words, out) == 0
    return FrameStore(out)


@pytest.fixture
def make_data(tmp_path: Path) -> MakeData:
    """Writes a data directory of given waves, by two speakers in turn."""

    def make(*waves: np.ndarray) -> Path:
        utterances = []
        for number, wave in enumerate(waves):
            speaker = "ab"[number % 2]
            audio = tmp_path / f"{speaker}-{number:03d}.wav"
            soundfile.write(audio, wave, RATE, subtype="FLOAT")
            utterances.append(Utterance(id=audio.stem, speaker=speaker, audio=str(audio)))
        write_data_dir(tmp_path / "data", utterances)
        return tmp_path / "data"

    return make


@given(st.lists(st.floats(0.1, 1000), max_size=80))
def test_long_recordings_are_not_transformed_together(seconds: list[float]) -> None:
    segments = [Utterance(id=str(n), speaker="s", audio="a", end=own) for n, own in enumerate(seconds)]
    chunks = list(build._chunks(segments))
    assert [utterance for chunk in chunks for utterance in chunk] == segments
    for chunk in chunks:
        assert 1 <= len(chunk) <= build.CHUNK_UTTERANCES
        assert len(chunk) == 1 or sum(u.end or 0 for u in chunk) <= build.CHUNK_SECONDS
    for before, after in itertools.pairwise(chunks):
        full = len(before) == build.CHUNK_UTTERANCES
        assert full or sum(u.end or 0 for u in (*before, after[0])) > build.CHUNK_SECONDS


def test_the_size_of_a_file_tells_how_long_it_is(make_data: MakeData) -> None:
    (utterance,) = load_data_dir(make_data(noise(10 * RATE)), need_text=False)
    assert 5 < build._seconds(utterance) < 20
    assert build._seconds(Utterance(id="u", speaker="s", audio="sox a.wav -t wav - |")) == 0


def noise(length: int, scale: float = 0.1) -> np.ndarray:
    return (scale * np.random.default_rng(length).standard_normal(length)).astype(np.float32)


@pytest.fixture
def data(make_data: MakeData) -> Path:
    return make_data(*(noise(2000 + 37 * number, 0.01 * (number + 1)) for number in range(70)))


def test_the_number_of_threads_does_not_change_a_byte(data: Path, tmp_path: Path) -> None:
    one, three = made(tmp_path / "one", "--nj", 1, data), made(tmp_path / "three", "--nj", 3, data)
    assert (one.path / FEATS_FILE).read_bytes() == (three.path / FEATS_FILE).read_bytes()
    assert fingerprint(one.path) == fingerprint(three.path)


def test_without_normalisation_a_store_holds_the_filter_banks(data: Path, tmp_path: Path) -> None:
    store = made(tmp_path / "out", "--cmvn", "none", data)
    utterances = load_data_dir(data, need_text=False)
    assert store.index.utterances == tuple(utterance.id for utterance in utterances)
    fbank = Fbank(FbankOptions(sample_rate=RATE))
    for utterance, (name, frames) in list(zip(utterances, store.index.slices(), strict=True))[::13]:
        assert utterance.id == name
        expected = fbank([read_audio(utterance, sample_rate=RATE)])[0]
        np.testing.assert_allclose(store.own_frames(frames), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shared_by", ["speaker", "utterance"])
def test_mean_and_variance_are_those_of_what_shares_them(data: Path, tmp_path: Path, shared_by: str) -> None:
    store = made(tmp_path / "out", "--cmvn", shared_by, data)
    groups: dict[str, list[np.ndarray]] = {}
    for (utterance, frames), speaker in zip(store.index.slices(), store.index.speakers, strict=True):
        key = speaker if shared_by == "speaker" else utterance
        groups.setdefault(key, []).append(np.asarray(store.own_frames(frames)))
    assert len(groups) == (2 if shared_by == "speaker" else 70)
    for parts in groups.values():
        feats = np.concatenate(parts)
        np.testing.assert_allclose(feats.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(feats.std(0), 1, atol=1e-2)


def test_the_context_is_normalised_like_the_frames(data: Path, tmp_path: Path) -> None:
    store = made(tmp_path / "out", "--left-context", 3, "--right-context", 2, data)
    for _, frames in list(store.index.slices())[::23]:
        own = np.asarray(store.own_frames(frames))
        windows = np.asarray(store.windows(frames)).reshape(len(own), 6, -1)
        np.testing.assert_array_equal(windows[0, :3], np.repeat(own[:1], 3, axis=0))
        np.testing.assert_array_equal(windows[-1, 4:], np.repeat(own[-1:], 2, axis=0))


def test_a_prior_pulls_towards_the_training_corpus(data: Path, tmp_path: Path) -> None:
    utterances = load_data_dir(data, need_text=False)[:2]
    write_data_dir(tmp_path / "small", utterances)
    flags = ("--cmvn-prior-frames", 100, "--cmvn", "utterance")
    alone = made(tmp_path / "alone", *flags, tmp_path / "small")
    big = made(tmp_path / "big", *flags, data)
    pulled = made(tmp_path / "pulled", *flags, "--prior", big.path, tmp_path / "small")
    assert pulled.meta["features"]["prior"] == big.meta["features"]["prior"] != alone.meta["features"]["prior"]
    assert not np.allclose(pulled.padded, alone.padded, atol=0.1)


def test_a_prior_of_other_features_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = made(tmp_path / "train", "--num-mel-bins", 23, "--cmvn-prior-frames", 10, data)
    assert make_fbank("--cmvn-prior-frames", 10, "--prior", train.path, data, tmp_path / "out") == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert str(train.path) in message
    assert "'num_mel_bins': 23" in message


def test_a_prior_without_filter_banks_is_refused(data: Path, tmp_path: Path, complaint: Callable[[], str]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    write_images(images, ["a", "b"], np.zeros((2, 3, 3), np.uint8))
    assert make_fbank("--cmvn-prior-frames", 10, "--prior", images, data, tmp_path / "out") == 1
    assert f"--prior {images} holds other filter banks than those asked for: none" in complaint()


def test_an_utterance_shorter_than_a_window_is_left_out_and_named(
    make_data: MakeData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = made(tmp_path / "out", make_data(noise(3000), noise(150), noise(2500)))
    assert store.index.utterances == ("a-000", "a-002")
    assert store.meta["left_out"] == 1
    assert "b-001: shorter than one window" in caplog.text


def test_nothing_long_enough_is_an_error(
    make_data: MakeData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_fbank(make_data(noise(100), noise(150)), tmp_path / "out") == 1
    assert "no utterance is as long as one window" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_features_that_are_not_finite_are_refused_and_nothing_is_left(
    make_data: MakeData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_data(noise(3000), noise(3000, 1e25))
    assert make_fbank(data, tmp_path / "out") == 1
    assert "b-001" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_samples_that_are_not_numbers_are_refused(
    make_data: MakeData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wave = noise(3000)
    wave[77] = np.nan
    assert make_fbank(make_data(noise(3000), wave), tmp_path / "out") == 1
    assert "b-001" in capsys.readouterr().err.splitlines()[-1]
