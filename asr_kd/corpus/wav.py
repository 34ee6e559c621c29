"""Writing what a corpus makes: 16-bit WAV, never clipped. It reads three times as fast as FLAC."""

import wave
from pathlib import Path

import numpy as np

from asr_kd.corpus.noise import Samples

_PEAK = 0.95


def write_wav(path: Path, samples: Samples, sample_rate: int) -> None:
    """Write mono samples of full scale 1; where they would clip, all of them are scaled down.

    Raises:
        OSError: the disk is full, or the folder cannot be written to. (libsndfile would name no reason.)
    """
    loudest = float(np.max(np.abs(samples), initial=0.0))
    scale = 32767 * min(1.0, _PEAK / loudest if loudest else 1.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate)
        wav.setnframes(len(samples))
        wav.writeframes(np.round(samples * scale).astype("<i2").tobytes())
