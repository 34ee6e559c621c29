"""Noise and reverberation at stated levels: white, pink and babble noise, decaying rooms, speech levels."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.floating]
Talkers: TypeAlias = Sequence[Samples] | NDArray[np.floating]

_LEVEL_WINDOW_S = 0.02
_ACTIVE_RANGE_DB = 35.0
_DIRECT_PATH_S = 0.0025


def white(num_samples: int, rng: np.random.Generator) -> Samples:
    """Noise of equal power at all frequencies, mean power 1."""
    return rng.standard_normal(num_samples, dtype=np.float32)


def pink(num_samples: int, rng: np.random.Generator) -> Samples:
    """Noise whose power falls by 3 dB an octave, as that of many natural sounds, mean power 1."""
    length = _fft_length(num_samples)
    spectrum = rng.standard_normal((length // 2 + 1, 2), dtype=np.float32).view(np.complex64)[:, 0]
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum), dtype=np.float32))
    return with_power(np.fft.irfft(spectrum, length)[:num_samples], 1.0)


def babble(
    num_samples: int, talkers: Sequence[Samples] | Samples, num_voices: int, rng: np.random.Generator
) -> Samples:
    """Many people at once: stretches of ``num_voices`` of the talkers, each equally loud, mean power 1.

    Args:
        talkers: recordings of continuous speech; a short one is repeated.
        num_voices: how many of them speak at a time, at most ``len(talkers)``.
    """
    mixed = np.zeros(num_samples, dtype=np.float32)
    for talker in rng.choice(len(talkers), num_voices, replace=False):
        start = int(rng.integers(len(talkers[talker])))
        stretch = np.take(talkers[talker], np.arange(start, start + num_samples), mode="wrap")
        mixed += with_power(stretch.astype(np.float32), 1.0)
    return with_power(mixed, 1.0)


def room(sample_rate: int, rt60_s: float, direct_to_reverberant_db: float, rng: np.random.Generator) -> Samples:
    """A room's impulse response after Polack: the direct path, then white noise that decays exponentially.

    Args:
        rt60_s: seconds until the tail has lost 60 dB.
        direct_to_reverberant_db: energy of the direct path over that of the whole tail.
    """
    gap = round(_DIRECT_PATH_S * sample_rate)
    times = np.arange(round(rt60_s * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(times)) * np.exp(-np.log(1e3) * times / rt60_s)
    tail *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt(np.sum(tail**2))
    return np.concatenate([[1.0], np.zeros(gap), tail]).astype(np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """The samples heard through a room, cut to their own length."""
    length = _fft_length(len(samples) + len(response) - 1)
    heard = np.fft.irfft(np.fft.rfft(samples, length) * np.fft.rfft(response, length), length)
    return heard[: len(samples)].astype(np.float32)


def active_power(samples: Samples, sample_rate: int) -> float:
    """Mean power of the speech itself: of those 20 ms windows that lie within 35 dB of the loudest.

    Pauses would make the level, and so the SNR, depend on how much silence an utterance holds.
    """
    size = round(_LEVEL_WINDOW_S * sample_rate)
    if len(samples) < size:
        return power(samples)
    windows = np.asarray(samples[: len(samples) // size * size], dtype=np.float64).reshape(-1, size)
    powers = np.mean(windows**2, axis=1)
    return float(np.mean(powers[powers >= powers.max() * 10 ** (-_ACTIVE_RANGE_DB / 10)]))


def mix(speech: Samples, noise: Samples, snr_db: float, sample_rate: int) -> Samples:
    """Speech with noise added so that 10 log10(active speech power / noise power) = ``snr_db``."""
    wanted = active_power(speech, sample_rate) * 10 ** (-snr_db / 10)
    return (speech + with_power(noise, wanted)).astype(np.float32)


def power(samples: Samples) -> float:
    """Mean square."""
    return float(np.mean(np.square(samples, dtype=np.float64)))


def with_power(samples: Samples, wanted: float) -> Samples:
    """The samples scaled to a mean power; silence stays silence."""
    found = power(samples)
    return samples * np.float32(np.sqrt(wanted / found)) if found > 0 else samples


def at_level(speech: Samples, level_db: float, sample_rate: int) -> Samples:
    """Speech scaled to an active level in dB, 0 being the power of a full-scale square wave."""
    found = active_power(speech, sample_rate)
    return speech * np.float32(np.sqrt(10 ** (level_db / 10) / found)) if found > 0 else speech


def _fft_length(num_samples: int) -> int:
    return 1 << (num_samples - 1).bit_length()
