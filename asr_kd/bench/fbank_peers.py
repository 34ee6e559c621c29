"""Filter banks by other programs, and an exact one, all of Kaldi's 40 log-mel energies at 16 kHz but librosa's.

Legend: S samples, T frames, F filters.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torchaudio.compliance import kaldi

from asr_kd.frames.fbank import FULL_SCALE, LOG_FLOOR, PREEMPHASIS, FbankOptions

Transform = Callable[[np.ndarray], Any]


def installed(module: str) -> bool:
    """Whether a peer is there to be measured."""
    return importlib.util.find_spec(module) is not None


def kaldi_native_fbank(options: FbankOptions) -> Transform:
    """Samples ``[S]``, a list of floats at 16-bit scale, to ``[T, F]``."""
    library = importlib.import_module("kaldi_native_fbank")
    asked = library.FbankOptions()
    asked.frame_opts.samp_freq = options.sample_rate
    asked.frame_opts.dither = 0.0
    asked.frame_opts.snip_edges = True
    asked.mel_opts.num_bins = options.num_mel_bins
    asked.mel_opts.low_freq = options.low_freq

    def transform(samples: Any) -> np.ndarray:
        computer = library.OnlineFbank(asked)
        computer.accept_waveform(options.sample_rate, samples)
        computer.input_finished()
        return np.stack([computer.get_frame(number) for number in range(computer.num_frames_ready)])

    return transform


def torchaudio_kaldi(options: FbankOptions) -> Transform:
    """Samples ``[1, S]`` at 16-bit scale to ``[T, F]``."""

    def transform(samples: Any) -> torch.Tensor:
        return kaldi.fbank(
            samples,
            num_mel_bins=options.num_mel_bins,
            sample_frequency=float(options.sample_rate),
            low_freq=options.low_freq,
            dither=0.0,
        )

    return transform


def librosa_mel(options: FbankOptions) -> Transform:
    """Samples ``[S]`` to ``[F, T]``: the same windows and number of filters, other conventions."""
    melspectrogram = importlib.import_module("librosa").feature.melspectrogram

    def transform(samples: Any) -> np.ndarray:
        mel = melspectrogram(
            y=samples,
            sr=options.sample_rate,
            n_fft=options.fft_size,
            hop_length=options.shift,
            win_length=options.window,
            n_mels=options.num_mel_bins,
            center=False,
        )
        return np.asarray(np.log(np.maximum(mel, LOG_FLOOR)))

    return transform


def exact(wave: np.ndarray, options: FbankOptions) -> np.ndarray:
    """Kaldi's ``compute-fbank-feats`` in float64, frame by frame: ``[T, F]``.

    Mean removal, pre-emphasis with the frame's first sample as its own neighbour, Povey window, power spectrum,
    triangles on the mel scale, logarithm.
    """
    o = options
    samples = np.asarray(wave, np.float64) * FULL_SCALE
    frames = np.lib.stride_tricks.sliding_window_view(samples, o.window)[:: o.shift]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    place = np.arange(o.window) * 2 * np.pi / (o.window - 1)
    windowed = (frames - PREEMPHASIS * before) * (0.5 - 0.5 * np.cos(place)) ** 0.85
    power = np.abs(np.fft.rfft(windowed, o.fft_size)) ** 2
    return np.log(np.maximum(power @ _triangles(o), LOG_FLOOR))


def _triangles(o: FbankOptions) -> np.ndarray:
    """Mel filters ``[bins, F]``, the corners equally far apart on the mel scale."""
    mels = _mel(np.arange(o.fft_size // 2 + 1) * o.sample_rate / o.fft_size)
    corners = np.linspace(_mel(np.array(o.low_freq)), _mel(np.array(o.upper_edge)), o.num_mel_bins + 2)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (mels[:, None] - left) / (centre - left)
    falling = (right - mels[:, None]) / (right - centre)
    filters: np.ndarray = np.clip(np.minimum(rising, falling), 0, None)
    filters[-1] = 0  # Kaldi leaves out the bin at half the sample rate
    return filters


def _mel(hertz: np.ndarray) -> np.ndarray:
    mels: np.ndarray = 1127.0 * np.log(1.0 + hertz / 700.0)
    return mels
