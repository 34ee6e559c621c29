"""Log-mel filter banks by Kaldi's conventions, for many utterances in one call.

Legend: S samples, N frames of all utterances, T frames of one utterance, F filters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchaudio.compliance.kaldi import get_mel_banks

from asr_kd.errors import UsageError
from asr_kd.options import option

CHUNK_FRAMES = 512  # the windowed frames and their spectra then stay in the L2 cache
FULL_SCALE = 32768.0  # Kaldi computes on 16-bit sample values
LOG_FLOOR = float(np.finfo(np.float32).eps)
PREEMPHASIS = 0.97


@dataclass(frozen=True, kw_only=True)
class FbankOptions:
    """Kaldi's ``compute-fbank-feats`` with ``--dither=0 --snip-edges=true --window-type=povey``."""

    sample_rate: int = option("sample rate of the features in Hz; audio of another rate is resampled", default=16000)
    num_mel_bins: int = option("number of mel filters", default=40)
    low_freq: float = option("lower edge of the filters in Hz", default=20.0)
    high_freq: float = option("upper edge in Hz; 0 or less counts from half the sample rate", default=0.0)
    frame_length_ms: float = option("window length in ms", default=25.0)
    frame_shift_ms: float = option("frame shift in ms", default=10.0)

    def __post_init__(self) -> None:
        if self.window < 2 or self.shift < 1:
            raise UsageError(
                f"--frame-length-ms {self.frame_length_ms} and --frame-shift-ms {self.frame_shift_ms}: too short for "
                f"--sample-rate {self.sample_rate}"
            )
        if self.num_mel_bins < 3:
            raise UsageError(f"--num-mel-bins must be at least 3, got {self.num_mel_bins}")
        if not 0 <= self.low_freq < self.upper_edge <= self.sample_rate / 2:
            raise UsageError(
                f"--low-freq {self.low_freq} and --high-freq {self.high_freq} do not lie within "
                f"0..{self.sample_rate / 2} Hz, half of --sample-rate"
            )

    @property
    def upper_edge(self) -> float:
        """Upper edge of the last filter in Hz."""
        return self.high_freq if self.high_freq > 0 else self.sample_rate / 2 + self.high_freq

    @property
    def window(self) -> int:
        """Window length in samples."""
        return int(self.sample_rate * self.frame_length_ms / 1000)

    @property
    def shift(self) -> int:
        """Frame shift in samples."""
        return int(self.sample_rate * self.frame_shift_ms / 1000)

    @property
    def fft_size(self) -> int:
        """The window's length rounded up to a power of two."""
        return int(2 ** np.ceil(np.log2(self.window)))

    def num_frames(self, num_samples: int) -> int:
        """Frames of an utterance: only windows that lie wholly inside it count."""
        return 1 + (num_samples - self.window) // self.shift if num_samples >= self.window else 0


class Fbank:
    """Log-mel energies of utterances, computed together.

    All utterances lie in one buffer, each starting at a multiple of the frame shift, so that every
    frame is a row of one strided view. The few rows that span two utterances are computed and dropped.
    Pre-emphasis runs over the whole buffer: the Povey window is zero at its first sample, the only one
    where that differs from Kaldi's frame-by-frame rule.
    """

    def __init__(self, options: FbankOptions) -> None:
        self.options = options
        hann = torch.hann_window(options.window, periodic=False, dtype=torch.float64)
        self._window = hann.pow(0.85).float()
        mel, _ = get_mel_banks(
            options.num_mel_bins,
            options.fft_size,
            float(options.sample_rate),
            options.low_freq,
            options.upper_edge,
            100.0,
            -500.0,
            1.0,
        )
        bins = options.fft_size // 2 + 1
        padded = torch.zeros(bins, options.num_mel_bins)
        padded[: mel.shape[1]] = mel.T
        # Squared real and imaginary parts stand side by side, so each row of the matrix stands twice.
        self._mel = padded.repeat_interleave(2, dim=0).contiguous()

    def __call__(self, waves: Sequence[np.ndarray]) -> list[Tensor]:
        """Log-mel energies ``[T, F]`` float32 of each wave.

        Args:
            waves: float samples ``[S]`` in [-1, 1), at the options' sample rate. A wave shorter than
                one window gives zero frames.
        """
        o = self.options
        counts = [o.num_frames(len(wave)) for wave in waves]
        rows = [-(-len(wave) // o.shift) + 1 for wave in waves]
        starts = np.concatenate([[0], np.cumsum(rows)])
        buffer = torch.zeros(int(starts[-1]) * o.shift + o.window + 1)
        for wave, start in zip(waves, starts, strict=False):
            at = int(start) * o.shift + 1
            buffer[at : at + len(wave)] = torch.from_numpy(np.ascontiguousarray(wave, dtype=np.float32))
        buffer *= FULL_SCALE
        log_mel = self._log_mel(buffer, int(starts[-1]))
        return [log_mel[start : start + count].clone() for start, count in zip(starts, counts, strict=False)]

    def _log_mel(self, buffer: Tensor, num_rows: int) -> Tensor:
        o = self.options
        emphasised = torch.add(buffer[1:], buffer[:-1], alpha=-PREEMPHASIS)
        strides = (o.shift, 1)
        raw_rows = buffer[1:].as_strided((num_rows, o.window), strides, storage_offset=1)
        rows = emphasised.as_strided((num_rows, o.window), strides)
        out = torch.empty(num_rows, o.num_mel_bins)
        for begin in range(0, num_rows, CHUNK_FRAMES):
            chunk = slice(begin, min(begin + CHUNK_FRAMES, num_rows))
            # Taking the mean off before pre-emphasis leaves (1 - 0.97) of it to take off after.
            offset = raw_rows[chunk].mean(dim=1, keepdim=True).mul_(1 - PREEMPHASIS)
            frames = (rows[chunk] - offset).mul_(self._window)
            spectrum = torch.view_as_real(torch.fft.rfft(frames, n=o.fft_size))
            power = spectrum.reshape(spectrum.shape[0], -1).square_()
            torch.mm(power, self._mel, out=out[chunk])
        return out.clamp_(min=LOG_FLOOR).log_()
