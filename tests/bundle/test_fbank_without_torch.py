"""The recogniser's filter banks are those that models are trained on, and a frame hears its own window alone."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.bundle import fbank as fbank_module
from asr_kd.bundle.fbank import LogMel
from asr_kd.frames.fbank import Fbank, FbankOptions

SHAPES = st.builds(
    FbankOptions,
    sample_rate=st.sampled_from([8000, 11025, 16000]),
    num_mel_bins=st.integers(10, 60),
    low_freq=st.sampled_from([0.0, 20.0, 64.0]),
    high_freq=st.sampled_from([0.0, -200.0, 3800.0]),
    frame_length_ms=st.sampled_from([20.0, 25.0, 32.0]),
)


def noise(length: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.uniform(0.001, 0.3) * rng.standard_normal(length) + rng.uniform(-0.1, 0.1)).astype(np.float32)


@given(options=SHAPES, length=st.integers(0, 8000), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_they_equal_those_of_training(options: FbankOptions, length: int, seed: int) -> None:
    samples = noise(length, seed)
    expected = Fbank(options)([samples])[0].numpy()
    found = LogMel(**asdict(options))(samples)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_frames_at_the_borders_of_chunks_are_those_of_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    log_mel, samples = LogMel(**asdict(FbankOptions(sample_rate=8000))), noise(3000, 1)
    whole = log_mel(samples)
    for size in (1, 7, len(whole) - 1, len(whole)):
        monkeypatch.setattr(fbank_module, "CHUNK_FRAMES", size)
        np.testing.assert_allclose(log_mel(samples), whole, rtol=0, atol=1e-5)


def test_digital_silence_is_at_the_floor() -> None:
    np.testing.assert_allclose(LogMel(**asdict(FbankOptions()))(np.zeros(800, np.float32)), np.log(2.0**-23), rtol=1e-6)


@given(first=st.integers(0, 40), count=st.integers(1, 20), seed=st.integers(0, 999))
@settings(max_examples=40)
def test_a_frame_depends_on_its_window_alone(first: int, count: int, seed: int) -> None:
    log_mel = LogMel(**asdict(FbankOptions(sample_rate=8000)))
    samples = noise(60 * log_mel.shift + log_mel.window, seed)
    begin = first * log_mel.shift
    part = samples[begin : begin + (count - 1) * log_mel.shift + log_mel.window]
    np.testing.assert_allclose(log_mel(part), log_mel(samples)[first : first + count], atol=1e-5)
