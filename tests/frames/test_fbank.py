"""Filter banks equal Kaldi's on speech and on noise, and an utterance's do not depend on its neighbours."""

from collections.abc import Iterator
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.corpus.audio import read_audio
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.errors import UsageError
from asr_kd.frames import fbank as fbank_module
from asr_kd.frames.fbank import LOG_FLOOR, Fbank, FbankOptions

TOLERANCE = 2e-3
WIDE, NARROW = FbankOptions(), FbankOptions(sample_rate=8000)


def kaldis(wave: np.ndarray, options: FbankOptions) -> np.ndarray:
    """Log-mel energies ``[T, F]`` by kaldi-native-fbank."""
    asked = kaldi_native_fbank.FbankOptions()
    asked.frame_opts.samp_freq = options.sample_rate
    asked.frame_opts.frame_length_ms, asked.frame_opts.frame_shift_ms = options.frame_length_ms, options.frame_shift_ms
    asked.frame_opts.dither, asked.frame_opts.snip_edges = 0.0, True
    asked.mel_opts.num_bins = options.num_mel_bins
    asked.mel_opts.low_freq, asked.mel_opts.high_freq = options.low_freq, options.high_freq
    computer = kaldi_native_fbank.OnlineFbank(asked)
    computer.accept_waveform(options.sample_rate, (wave * 32768).tolist())
    computer.input_finished()
    rows = [computer.get_frame(number) for number in range(computer.num_frames_ready)]
    return np.array(rows, np.float32).reshape(len(rows), options.num_mel_bins)


def noise(length: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.001, 0.5) * rng.standard_normal(length)).clip(-1, 1).astype(np.float32)


@st.composite
def noises(draw: st.DrawFn) -> list[np.ndarray]:
    lengths = draw(st.lists(st.integers(1, 6000), min_size=1, max_size=5))
    return [noise(length, draw(st.integers(0, 1000))) for length in lengths]


@given(waves=noises(), options=st.sampled_from([WIDE, NARROW, FbankOptions(num_mel_bins=23, high_freq=-400)]))
@settings(max_examples=30, deadline=None)
def test_noise_of_any_length_has_kaldis_filter_banks(waves: list[np.ndarray], options: FbankOptions) -> None:
    for wave, feats in zip(waves, Fbank(options)(waves), strict=True):
        expected = kaldis(wave, options)
        assert feats.shape == expected.shape == (options.num_frames(len(wave)), options.num_mel_bins)
        np.testing.assert_allclose(feats.numpy(), expected, rtol=0, atol=TOLERANCE)


def speech(folder: Path, rate: int, every: int) -> Iterator[np.ndarray]:
    for utterance in load_data_dir(folder)[::every][:6]:
        yield read_audio(utterance, sample_rate=rate)


@pytest.mark.parametrize(("corpus", "options"), [("librispeech47", WIDE), ("fsdd", NARROW)])
def test_speech_has_kaldis_filter_banks(corpora: Path, corpus: str, options: FbankOptions) -> None:
    waves = list(speech(corpora / corpus / "data" / "test", options.sample_rate, every=50))
    for wave, feats in zip(waves, Fbank(options)(waves), strict=True):
        np.testing.assert_allclose(feats.numpy(), kaldis(wave, options), rtol=0, atol=TOLERANCE)


@given(waves=noises())
@settings(max_examples=30, deadline=None)
def test_an_utterances_features_do_not_depend_on_what_it_is_packed_with(waves: list[np.ndarray]) -> None:
    fbank = Fbank(NARROW)
    for wave, packed in zip(waves, fbank(waves), strict=True):
        np.testing.assert_allclose(packed.numpy(), fbank([wave])[0].numpy(), rtol=0, atol=1e-4)


def test_a_loud_neighbour_does_not_leak() -> None:
    quiet = 1e-4 * noise(1777, 1)
    loud = np.ones(999, np.float32)
    alone, between = Fbank(NARROW)([quiet])[0], Fbank(NARROW)([loud, quiet, loud])[1]
    np.testing.assert_allclose(between.numpy(), alone.numpy(), rtol=0, atol=1e-4)


def test_frames_at_the_borders_of_chunks_are_those_of_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    waves = [noise(length, length) for length in (1777, 400, 999, 3000)]
    whole = Fbank(NARROW)(waves)
    for size in (1, 7, 8):
        monkeypatch.setattr(fbank_module, "CHUNK_FRAMES", size)
        for found, expected in zip(Fbank(NARROW)(waves), whole, strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=1e-4)


def test_silence_and_a_constant_offset_are_at_the_floor() -> None:
    for wave in (np.zeros(1000, np.float32), np.full(1000, 0.25, np.float32)):
        feats = Fbank(NARROW)([wave])[0].numpy()
        assert np.isfinite(feats).all()
    np.testing.assert_allclose(Fbank(NARROW)([np.zeros(1000, np.float32)])[0].numpy(), np.log(LOG_FLOOR))


def test_a_wave_shorter_than_one_window_has_no_frames() -> None:
    one_short, just_enough, nothing = Fbank(WIDE)([noise(399, 1), noise(400, 2), np.zeros(0, np.float32)])
    assert (len(one_short), len(just_enough), len(nothing)) == (0, 1, 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_mel_bins": 2}, "--num-mel-bins"),
        ({"low_freq": 5000.0, "high_freq": 4000.0}, "--low-freq 5000.0 and --high-freq 4000.0"),
        ({"high_freq": 9000.0}, "--high-freq 9000.0"),
        ({"frame_shift_ms": 0.0}, "--frame-shift-ms"),
        ({"frame_length_ms": 0.01}, "--frame-length-ms"),
    ],
)
def test_impossible_options_are_wrong_usage(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        FbankOptions(**wrong)  # type: ignore[arg-type]
