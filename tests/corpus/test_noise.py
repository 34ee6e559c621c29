"""Noise, rooms and levels have the powers, spectra and decays that they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.corpus import noise
from asr_kd.corpus.conditions import ConditionOptions, expose, record

RATE = 16000


def tone_between_pauses(seconds: float = 1.0) -> np.ndarray:
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)
    return np.concatenate([np.zeros(RATE), tone, np.zeros(RATE)]).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(snr_db=st.floats(-10, 40), pause=st.integers(0, 3 * RATE), seed=st.integers(0, 99))
def test_mix_reaches_the_snr_however_long_the_pauses_are(snr_db: float, pause: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    speech = np.pad(tone_between_pauses(), (pause, 0))
    added = noise.mix(speech, noise.white(len(speech), rng), snr_db, RATE) - speech
    found = 10 * np.log10(noise.power(speech[speech != 0]) / noise.power(added))
    assert found == pytest.approx(snr_db, abs=0.15)


@pytest.mark.parametrize("make", [noise.white, noise.pink])
def test_noise_has_power_one(make: object) -> None:
    assert noise.power(make(RATE, np.random.default_rng(0))) == pytest.approx(1, abs=0.05)  # type: ignore[operator]


@pytest.mark.parametrize(("make", "slope_db"), [(noise.white, 0.0), (noise.pink, -3.0)])
def test_pink_noise_falls_by_3_db_an_octave_and_white_by_none(make: object, slope_db: float) -> None:
    spectrum = np.abs(np.fft.rfft(make(1 << 18, np.random.default_rng(0)))) ** 2  # type: ignore[operator]
    octaves = [10 * np.log10(np.mean(spectrum[1 << k : 2 << k])) for k in range(8, 16)]
    assert np.mean(np.diff(octaves)) == pytest.approx(slope_db, abs=0.2)


def test_babble_mixes_equally_loud_talkers_and_repeats_short_ones() -> None:
    rng = np.random.default_rng(0)
    talkers = [g * rng.standard_normal(n).astype(np.float32) for g, n in ((0.01, 500), (1.0, 9000), (5.0, 30000))]
    mixed = noise.babble(20000, talkers, 3, rng)
    assert len(mixed) == 20000
    assert noise.power(mixed) == pytest.approx(1, abs=1e-3)
    assert np.corrcoef(mixed[:-500], mixed[500:])[0, 1] == pytest.approx(1 / 3, abs=0.05)  # the repeated talker's share


@pytest.mark.parametrize("rt60_s", [0.1, 0.4])
def test_a_room_decays_by_60_db_in_its_time_and_has_the_wanted_direct_energy(rt60_s: float) -> None:
    response = noise.room(RATE, rt60_s, 5.0, np.random.default_rng(0))
    tail = response[1:].astype(np.float64)
    assert 10 * np.log10(response[0] ** 2 / np.sum(tail**2)) == pytest.approx(5.0, abs=0.01)
    remaining_db = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1])
    first, last = (np.argmax(remaining_db < remaining_db[0] - drop) for drop in (5, 25))  # T20, as in ISO 3382
    assert 3 * (last - first) / RATE == pytest.approx(rt60_s, rel=0.1)


def test_reverberation_equals_convolution_and_keeps_the_length() -> None:
    rng = np.random.default_rng(0)
    speech, response = rng.standard_normal(1000), noise.room(RATE, 0.1, 3.0, rng)
    np.testing.assert_allclose(noise.reverberate(speech, response), np.convolve(speech, response)[:1000], atol=1e-4)


def test_a_level_is_that_of_the_speech_not_of_the_pauses() -> None:
    loud = noise.at_level(tone_between_pauses(), -20.0, RATE)
    assert 10 * np.log10(noise.power(loud[RATE : 2 * RATE])) == pytest.approx(-20, abs=0.1)
    assert not noise.at_level(np.zeros(100, np.float32), -20.0, RATE).any()


def test_without_noise_and_rooms_speech_passes_unchanged() -> None:
    options = ConditionOptions(noise_probability=0.0, reverb_probability=0.0)
    speech = tone_between_pauses()
    np.testing.assert_array_equal(expose(speech, RATE, options, [], np.random.default_rng(0)), speech)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_exposed_speech_has_a_signal_to_noise_ratio_within_the_limits(seed: int) -> None:
    options = ConditionOptions(snr_db_min=3.0, snr_db_max=9.0, reverb_probability=0.0)
    speech = tone_between_pauses()
    talkers = [np.random.default_rng(7).standard_normal(RATE).astype(np.float32)] * 3
    added = expose(speech, RATE, options, talkers, np.random.default_rng(seed)) - speech
    assert 2.8 < 10 * np.log10(noise.power(speech[RATE : 2 * RATE]) / noise.power(added)) < 9.2


def test_recorded_speech_has_silence_around_it_that_is_faint_but_not_digital() -> None:
    spoken = tone_between_pauses()[RATE : 2 * RATE]
    recorded = record(spoken, -20.0, RATE, np.random.default_rng(0))
    margin = recorded[: round(0.1 * RATE)]
    assert 1.2 * RATE < len(recorded) < 1.8 * RATE
    assert -75 < 10 * np.log10(noise.power(margin)) < -45
    assert np.all(np.abs(np.fft.rfft(margin))[1:] > 0)


@pytest.mark.parametrize(
    "wrong", [{"noise_probability": 1.5}, {"snr_db_min": 20.0}, {"rt60_s_min": 0.0}, {"rt60_s_max": 0.05}]
)
def test_impossible_conditions_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="--"):
        ConditionOptions(**wrong)
