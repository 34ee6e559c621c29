"""What stands between a clean voice and a microphone: a room, noise and a level, drawn by chance."""

from dataclasses import dataclass

import numpy as np

from asr_kd.corpus import noise
from asr_kd.corpus.noise import Samples, Talkers
from asr_kd.options import option

NOISES = ("white", "pink", "babble")

_MARGIN_S = (0.1, 0.4)
_MICROPHONE_SNR_DB = (30.0, 50.0)
_BABBLE_VOICES = (3, 6)
_DIRECT_TO_REVERBERANT_DB = (0.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class ConditionOptions:
    """How noisy and how reverberant speech becomes."""

    noise_probability: float = option("share of the utterances with noise", default=1.0)
    snr_db_min: float = option("lowest signal-to-noise ratio in dB", default=0.0)
    snr_db_max: float = option("highest signal-to-noise ratio in dB", default=15.0)
    reverb_probability: float = option("share of the utterances heard through a room", default=0.5)
    rt60_s_min: float = option("shortest time in s in which a room's echo falls by 60 dB", default=0.1)
    rt60_s_max: float = option("longest time in s in which a room's echo falls by 60 dB", default=0.4)

    def __post_init__(self) -> None:
        for name in ("noise_probability", "reverb_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name.replace('_', '-')} must lie between 0 and 1, not {getattr(self, name)}")
        if self.snr_db_min > self.snr_db_max:
            raise ValueError(f"--snr-db-min {self.snr_db_min} lies above --snr-db-max {self.snr_db_max}")
        if not 0 < self.rt60_s_min <= self.rt60_s_max:
            raise ValueError(f"--rt60-s-min {self.rt60_s_min} must lie above 0 and not above --rt60-s-max")


def record(speech: Samples, level_db: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Synthetic speech as a recording: silence around it, a level, and the faint noise of a microphone.

    Without that noise there would be digital silence in pauses and in high bands, as in no recording.
    """
    before, after = (round(rng.uniform(*_MARGIN_S) * sample_rate) for _ in range(2))
    loud = noise.at_level(np.pad(speech, (before, after)), level_db, sample_rate)
    return noise.mix(loud, noise.pink(len(loud), rng), rng.uniform(*_MICROPHONE_SNR_DB), sample_rate)


def expose(
    speech: Samples,
    sample_rate: int,
    options: ConditionOptions,
    talkers: Talkers,
    rng: np.random.Generator,
) -> Samples:
    """Speech as heard through a random room, with random noise at a random signal-to-noise ratio.

    Args:
        talkers: continuous speech of others, for babble noise.
    """
    if rng.random() < options.reverb_probability:
        rt60_s = rng.uniform(options.rt60_s_min, options.rt60_s_max)
        response = noise.room(sample_rate, rt60_s, rng.uniform(*_DIRECT_TO_REVERBERANT_DB), rng)
        speech = noise.reverberate(speech, response)
    if rng.random() < options.noise_probability:
        kind = NOISES[rng.integers(len(NOISES))]
        snr_db = rng.uniform(options.snr_db_min, options.snr_db_max)
        speech = noise.mix(speech, _make_noise(kind, len(speech), talkers, rng), snr_db, sample_rate)
    return speech


def _make_noise(kind: str, num_samples: int, talkers: Talkers, rng: np.random.Generator) -> Samples:
    if kind == "white":
        return noise.white(num_samples, rng)
    if kind == "pink":
        return noise.pink(num_samples, rng)
    voices = int(rng.integers(*_BABBLE_VOICES, endpoint=True))
    return noise.babble(num_samples, talkers, min(voices, len(talkers)), rng)
