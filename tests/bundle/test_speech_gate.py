"""Steady noise of any loudness is quiet, and what stands out of it is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.bundle.fbank import LogMel
from asr_kd.bundle.speech_gate import FLOOR_FRAMES, SpeechGate

RATE = 8000
LOG_MEL = LogMel(
    sample_rate=RATE, num_mel_bins=40, low_freq=20.0, high_freq=0.0, frame_length_ms=25.0, frame_shift_ms=10.0
)


def noise(seconds: float, deviation: float, seed: int) -> np.ndarray:
    return (deviation * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def tone(seconds: float, amplitude: float) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * 1500 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def quiet_after(*parts: np.ndarray) -> int:
    gate = SpeechGate()
    gate.accept(LOG_MEL(np.concatenate(parts)))
    return gate.quiet


@given(deviation=st.sampled_from([0.0, 1e-4, 1e-2, 0.3]), seconds=st.floats(0.5, 8.0), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_steady_noise_is_quiet(deviation: float, seconds: float, seed: int) -> None:
    samples = noise(seconds, deviation, seed)
    assert quiet_after(samples) >= LOG_MEL.num_frames(len(samples)) - 60


@pytest.mark.parametrize("deviation", [1e-3, 0.05])
def test_what_stands_out_is_not_quiet_and_then_it_is_again(deviation: float) -> None:
    before = noise(1.0, deviation, 1)
    during = noise(0.3, deviation, 2) + tone(0.3, 0.2)
    assert quiet_after(before, during) == 0
    assert 35 <= quiet_after(before, during, noise(0.5, deviation, 3)) <= 52


def test_louder_noise_is_quiet_once_it_has_lasted() -> None:
    change = [noise(2.0, 0.001, 1), noise(2.0, 0.1, 2)]
    assert quiet_after(*change) == 0
    assert quiet_after(*change, noise(FLOOR_FRAMES / 100, 0.1, 3)) > 50


@given(cuts=st.lists(st.integers(0, 150), max_size=6))
@settings(max_examples=20)
def test_frames_in_pieces_are_heard_as_at_once(cuts: list[int]) -> None:
    frames = LOG_MEL(np.concatenate([noise(0.8, 0.01, 1), tone(0.3, 0.3), noise(0.4, 0.01, 2)]))
    whole, pieces = SpeechGate(), SpeechGate()
    whole.accept(frames)
    for piece in np.split(frames, sorted(cuts)):
        pieces.accept(piece)
    assert pieces.quiet == whole.quiet
