"""Connected digits from isolated ones: one speaker's recordings joined with pauses, without audible joints."""

from collections.abc import Iterator, Sequence

import numpy as np
import soxr

from asr_kd.corpus import noise
from asr_kd.corpus.fsdd_recordings import SAMPLE_RATE, Recording
from asr_kd.corpus.noise import Samples

# People leave no pause, a short one, or a long one between groups of digits.
_PAUSES_S = ((0.0, 0.0), (0.02, 0.15), (0.15, 0.5))
_PAUSE_SHARES = (0.25, 0.55, 0.20)
_MARGIN_S = (0.1, 0.4)
_FADE_S = 0.005

# Recordings of one speaker differ by up to 40 dB; a person who reads a string out does not.
_LEVEL_SPREAD_DB = 2.0
_WINDOW = 256
_QUIET_SHARE = 0.1


def deal(
    recordings: Sequence[Recording], num_strings: int, min_digits: int, max_digits: int, rng: np.random.Generator
) -> Iterator[list[Recording]]:
    """Strings of recordings in random order, all lengths equally likely, each recording used equally often."""
    hand: list[int] = []
    for length in rng.integers(min_digits, max_digits, num_strings, endpoint=True):
        while len(hand) < length:
            hand += rng.permutation(len(recordings)).tolist()
        drawn, hand = hand[:length], hand[length:]
        yield [recordings[i] for i in drawn]


def join(recordings: Sequence[Recording], level_db: float, rng: np.random.Generator, *, speed: float = 1.0) -> Samples:
    """One string: recordings at about one level, faded in and out over a background that never stops.

    The background is noise with the level and the spectrum of the recordings' own quietest moments, so that neither
    a pause nor a joint can be told by a step in the noise.

    Args:
        level_db: the active speech level, 0 being the power of a full-scale square wave.
        speed: above 1 is faster and higher, as a tape: pitch and formants move together, as in a shorter vocal tract.
    """
    levels_db = level_db + rng.uniform(-_LEVEL_SPREAD_DB, _LEVEL_SPREAD_DB, len(recordings))
    loud = [
        noise.at_level(recording.samples - np.mean(recording.samples), level, SAMPLE_RATE)
        for recording, level in zip(recordings, levels_db, strict=True)
    ]
    # Before the change of speed: slowed speech has nothing in the highest band, a room does.
    floor_F = np.median([_floor(samples) for samples in loud], axis=0)
    pieces = [_silence(rng.uniform(*_MARGIN_S))]
    for place, samples in enumerate(loud):
        if place:
            pieces.append(_silence(_pause_s(rng)))
        pieces.append(_faded(soxr.resample(samples, SAMPLE_RATE * speed, SAMPLE_RATE) if speed != 1 else samples))
    pieces.append(_silence(rng.uniform(*_MARGIN_S)))
    joined = np.concatenate(pieces)
    return joined + _shaped_noise(floor_F, len(joined), rng)


def _pause_s(rng: np.random.Generator) -> float:
    shortest, longest = _PAUSES_S[rng.choice(len(_PAUSES_S), p=_PAUSE_SHARES)]
    return float(rng.uniform(shortest, longest))


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)


def _faded(samples: Samples) -> Samples:
    size = min(round(_FADE_S * SAMPLE_RATE), len(samples) // 2)
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(size) + 0.5) / size)).astype(np.float32)
    faded = samples.copy()
    faded[:size] *= ramp
    faded[len(faded) - size :] *= ramp[::-1]
    return faded


def _floor(samples: Samples) -> Samples:
    """The power spectrum [F] of a recording's quietest tenth, of noise of power 1 being 1 in every bin."""
    padded = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[:: _WINDOW // 4]
    quiet = np.argsort(np.mean(frames**2, axis=1))[: max(1, round(_QUIET_SHARE * len(frames)))]
    window = np.hanning(_WINDOW)
    spectrum: Samples = np.mean(np.abs(np.fft.rfft(frames[quiet] * window)) ** 2, axis=0) / np.sum(window**2)
    return spectrum


def _shaped_noise(power_F: Samples, num_samples: int, rng: np.random.Generator) -> Samples:
    spectrum = np.fft.rfft(noise.white(num_samples, rng))
    at = np.linspace(0, len(power_F) - 1, len(spectrum))
    gain = np.sqrt(np.interp(at, np.arange(len(power_F)), power_F))
    return np.fft.irfft(spectrum * gain, num_samples).astype(np.float32)
