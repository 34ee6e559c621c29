"""Log-mel filter banks in numpy, frame by frame: a stream and a file give the same, and torch is not needed.

Legend: S samples, T frames, W samples of a window, F filters.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

CHUNK_FRAMES = 1024
FULL_SCALE = 32768.0  # Kaldi computes on 16-bit sample values
LOG_FLOOR = float(np.finfo(np.float32).eps)
PREEMPHASIS = 0.97


class LogMel:
    """What `asr_kd.frames.fbank.Fbank` computes, which a test holds, in float64 and rounded at the end.

    A frame depends on the samples of its window alone. Training wants many utterances at once and the speed of packed
    float32 transforms; a recogniser wants neither.

    Args:
        sample_rate, num_mel_bins, low_freq, high_freq, frame_length_ms, frame_shift_ms: the fields of
            `asr_kd.frames.fbank.FbankOptions`, which checked them.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        num_mel_bins: int,
        low_freq: float,
        high_freq: float,
        frame_length_ms: float,
        frame_shift_ms: float,
    ) -> None:
        self.sample_rate = sample_rate
        self.num_mel_bins = num_mel_bins
        self.window = int(sample_rate * frame_length_ms / 1000)
        self.shift = int(sample_rate * frame_shift_ms / 1000)
        self._fft_size = 1 << (self.window - 1).bit_length()
        upper = high_freq if high_freq > 0 else sample_rate / 2 + high_freq
        self._mel = _mel_filters(num_mel_bins, self._fft_size, sample_rate, low_freq, upper)
        self._povey = np.hanning(self.window) ** 0.85

    def num_frames(self, num_samples: int) -> int:
        """Frames of so many samples: only windows that lie wholly inside count."""
        return 1 + (num_samples - self.window) // self.shift if num_samples >= self.window else 0

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Log-mel energies ``[T, F]`` float32 of samples ``[S]`` with full scale 1."""
        count = self.num_frames(len(samples))
        if not count:
            return np.zeros((0, self.num_mel_bins), np.float32)
        windows_TW = sliding_window_view(samples, self.window)[:: self.shift][:count]
        parts = [self._log_mel(windows_TW[begin : begin + CHUNK_FRAMES]) for begin in range(0, count, CHUNK_FRAMES)]
        return np.concatenate(parts)

    def _log_mel(self, windows_TW: np.ndarray) -> np.ndarray:
        frames = windows_TW * FULL_SCALE - windows_TW.mean(axis=1, keepdims=True, dtype=np.float64) * FULL_SCALE
        # The Povey window is zero at its first sample: what would come before it does not matter.
        frames[:, 1:] -= PREEMPHASIS * frames[:, :-1]
        spectrum = np.fft.rfft(frames * self._povey, self._fft_size)[:, :-1]
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        log_mel: np.ndarray = np.log(np.maximum(power @ self._mel, LOG_FLOOR)).astype(np.float32)
        return log_mel


def _mel_filters(num_filters: int, fft_size: int, sample_rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Triangles of equal width on the mel scale ``[fft_size / 2, F]``, as Kaldi's ``MelBanks`` without VTLN."""
    edges = np.linspace(_mel(low_hz), _mel(high_hz), num_filters + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = _mel(np.arange(fft_size // 2) * sample_rate / fft_size)[:, None]
    return np.maximum(np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)), 0.0)


def _mel(hz: float | np.ndarray) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0)
