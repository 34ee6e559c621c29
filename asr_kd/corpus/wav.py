"""Writing what a corpus makes: 16-bit WAV, never clipped. It reads three times as fast as FLAC."""

from pathlib import Path

import numpy as np
import soundfile

from asr_kd.corpus.noise import Samples

_PEAK = 0.95


def write_wav(path: Path, samples: Samples, sample_rate: int) -> None:
    """Write mono samples of full scale 1; where they would clip, all of them are scaled down."""
    loudest = float(np.max(np.abs(samples), initial=0.0))
    scale = 32767 * min(1.0, _PEAK / loudest if loudest else 1.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.round(samples * scale).astype(np.int16), sample_rate, subtype="PCM_16")
