"""Log-mel filter banks by Kaldi's conventions, for many utterances in one call.

Legend: S samples, N frames of all utterances, T frames of one utterance, F filters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchaudio.compliance.kaldi import get_mel_banks

from asr_kd.errors import UsageError
from asr_kd.options import option

CHUNK_FRAMES = 1024  # enough that setting up a transform costs little, few enough for the cache
BLOCK_FILTERS = 14
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
        # Squared real and imaginary parts stand side by side, so each row of the matrix stands twice.
        self._mel = _blocks(mel.T.repeat_interleave(2, dim=0))

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
        # One zero before the first sample, which pre-emphasis looks back to, and room for the last row's window.
        buffer = np.zeros(1 + int(starts[-1]) * o.shift + o.window, dtype=np.float32)
        for wave, start in zip(waves, starts, strict=False):
            at = 1 + int(start) * o.shift
            np.multiply(wave, FULL_SCALE, out=buffer[at : at + len(wave)], dtype=np.float32, casting="same_kind")
        log_mel = self._log_mel(torch.from_numpy(buffer), int(starts[-1]))
        return [log_mel[start : start + count] for start, count in zip(starts, counts, strict=False)]

    def _log_mel(self, buffer: Tensor, num_rows: int) -> Tensor:
        """Log-mel energies of every row, a few rows at a time in buffers that stay in the cache."""
        o = self.options
        size = min(CHUNK_FRAMES, num_rows)
        frames = torch.zeros(size, o.fft_size)  # a window is shorter than the transform: the rest stays zero
        spectrum = torch.empty(size, o.fft_size // 2 + 1, dtype=torch.complex64)
        out = torch.empty(num_rows, o.num_mel_bins)
        for begin in range(0, num_rows, size):
            count = min(size, num_rows - begin)
            samples = buffer[begin * o.shift : (begin + count - 1) * o.shift + o.window + 1]
            emphasised = torch.add(samples[1:], samples[:-1], alpha=-PREEMPHASIS)
            rows = emphasised.as_strided((count, o.window), (o.shift, 1))
            windowed = frames[:count, : o.window]
            torch.mul(rows, self._window, out=windowed)
            # Taking the mean off before pre-emphasis leaves (1 - 0.97) of it to take off after.
            windowed.addr_(self._means(samples[1:], count), self._window, alpha=PREEMPHASIS - 1)
            torch.fft.rfft(frames[:count], out=spectrum[:count])
            power = torch.view_as_real(spectrum[:count]).square_().view(count, -1)
            for bins, filters, mel in self._mel:
                torch.mm(power[:, bins], mel, out=out[begin : begin + count, filters])
        return out.clamp_(min=LOG_FLOOR).log_()

    def _means(self, samples: Tensor, count: int) -> Tensor:
        """Mean of each row's samples: rows overlap, so sums of the pieces that they share are added up."""
        o = self.options
        piece = math.gcd(o.window, o.shift)
        sums = samples[: len(samples) // piece * piece].view(-1, piece).sum(dim=1)
        return sums.as_strided((count, o.window // piece), (o.shift // piece, 1)).mean(dim=1).div_(piece)


def _blocks(mel: Tensor) -> list[tuple[slice, slice, Tensor]]:
    """The mel matrix ``[2 * bins, F]`` as products of few bins with few filters: most of it is zeros.

    Returns:
        for each block its bins, its filters and its part of the matrix.
    """
    blocks = []
    for begin in range(0, mel.shape[1], BLOCK_FILTERS):
        filters = slice(begin, min(begin + BLOCK_FILTERS, mel.shape[1]))
        used = mel[:, filters].any(dim=1).nonzero()
        bins = slice(int(used[0]), int(used[-1]) + 1)
        blocks.append((bins, filters, mel[bins, filters].contiguous()))
    return blocks
