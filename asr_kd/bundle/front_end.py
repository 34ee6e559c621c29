"""Samples to the windows that a bundle's network was trained on, of a whole recording or as they come.

Legend: S samples, T frames, D features of one frame, W = (left + 1 + right) * D.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from asr_kd.bundle.fbank import LogMel
from asr_kd.frames.cmvn import CmvnOptions, Moments, normalize, normalize_online


@dataclass(frozen=True)
class FrontEnd:
    """How input is made.

    Attributes:
        prior: moments of the training corpus.
        left, right: frames of context.
    """

    log_mel: LogMel
    cmvn: CmvnOptions
    prior: Moments
    left: int
    right: int

    @staticmethod
    def of(features: Mapping[str, Any]) -> "FrontEnd":
        """From the features that a bundle describes.

        Raises:
            KeyError, TypeError, ValueError: the description lacks something or has more.
        """
        return FrontEnd(
            LogMel(**features["fbank"]),
            CmvnOptions(**features["cmvn"]),
            Moments.from_dict(features["prior"]),
            int(features["left_context"]),
            int(features["right_context"]),
        )

    @property
    def frame_shift_ms(self) -> float:
        """From one frame to the next."""
        return 1000 * self.log_mel.shift / self.log_mel.sample_rate

    @property
    def width(self) -> int:
        """W of a window."""
        return (self.left + 1 + self.right) * self.log_mel.num_mel_bins

    def windows(self, log_mel_TD: np.ndarray) -> np.ndarray:
        """Windows ``[T, W]`` of all frames of a recording, normalised by all of them."""
        if not len(log_mel_TD):
            return np.zeros((0, self.width), np.float32)
        feats = log_mel_TD.copy()
        if self.cmvn.cmvn != "none":
            normalize(feats, Moments.of(feats), self.prior, self.cmvn.cmvn_prior_frames)
        return _windows(np.pad(feats, ((self.left, self.right), (0, 0)), mode="edge"), self.left + 1 + self.right)


class OnlineFrontEnd:
    """Windows as samples come: of a frame as soon as its right context was heard.

    Each frame is normalised by what was heard until then (`asr_kd.frames.cmvn.normalize_online`), and keeps its
    values in all windows that it is in. Whatever pieces the samples come in, the windows are the same.

    Attributes:
        log_mel: ``[T, D]``: frames as they were before they were normalised, from the last `forget` on.
        heard: moments of the frames heard that count.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self._made_by = front_end
        dim = front_end.log_mel.num_mel_bins
        self.log_mel = np.zeros((0, dim), np.float32)
        self.heard = Moments.none(dim)
        self._samples = np.zeros(0, np.float32)
        self._rows = np.zeros((0, dim), np.float32)
        self._begun = False

    def accept(self, samples: np.ndarray) -> np.ndarray:
        """The windows ``[T, W]`` that samples ``[S]`` complete."""
        by = self._made_by
        self._samples = np.concatenate([self._samples, samples])
        feats = by.log_mel(self._samples)
        if not len(feats):
            return np.zeros((0, by.width), np.float32)
        self._samples = self._samples[len(feats) * by.log_mel.shift :]
        self.log_mel = np.concatenate([self.log_mel, feats])
        if by.cmvn.cmvn != "none":
            self.heard = normalize_online(feats, self.heard, by.prior, by.cmvn.cmvn_prior_frames)
        before = self._rows if self._begun else np.repeat(feats[:1], by.left, axis=0)
        self._begun = True
        return self._complete(np.concatenate([before, feats]))

    def finish(self) -> np.ndarray:
        """The last windows: the last frame is repeated where there is no more to hear."""
        return self._complete(np.concatenate([self._rows, np.repeat(self._rows[-1:], self._made_by.right, axis=0)]))

    def forget(self, num_frames: int) -> None:
        """Drop the first frames of `log_mel`."""
        self.log_mel = self.log_mel[num_frames:]

    def _complete(self, rows: np.ndarray) -> np.ndarray:
        """The windows that rows hold whole; the rows that are not the first of one are kept for the next."""
        context = self._made_by.left + 1 + self._made_by.right
        count = max(len(rows) - context + 1, 0)
        self._rows = rows[count:]
        return _windows(rows, context) if count else np.zeros((0, self._made_by.width), np.float32)


def _windows(rows: np.ndarray, context: int) -> np.ndarray:
    """Windows that start at each row ``[T, D]``, as a view."""
    rows = np.ascontiguousarray(rows)
    shape = (len(rows) - context + 1, context * rows.shape[1])
    return as_strided(rows, shape, rows.strides)
