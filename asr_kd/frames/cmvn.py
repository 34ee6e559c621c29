"""Cepstral mean and variance normalisation, per speaker or per utterance.

Legend: T frames, D features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_kd.options import option

VARIANCE_FLOOR = 1e-4
# Of online normalisation, in frames. Against none and three seconds, a second of each was best for connected digits.
ONLINE_PRIOR_FRAMES, LEVEL_FRAMES = 100, 100


@dataclass(frozen=True, kw_only=True)
class CmvnOptions:
    """What the mean and the variance are taken over."""

    cmvn: str = option("what shares one mean and variance", default="speaker", choices=("speaker", "utterance", "none"))
    cmvn_prior_frames: int = option(
        "how many frames the corpus mean and variance count for, so that a short recording is not normalised "
        "by itself alone",
        default=0,
    )


@dataclass(frozen=True)
class Moments:
    """Count, sum and sum of squares ``[D]`` (float64) of frames."""

    count: float
    total: np.ndarray
    squares: np.ndarray

    @staticmethod
    def of(feats: np.ndarray) -> "Moments":
        """The moments of frames ``[T, D]``."""
        wide = feats.astype(np.float64)
        return Moments(float(len(feats)), wide.sum(0), np.square(wide).sum(0))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @staticmethod
    def none(dim: int) -> "Moments":
        """Those of no frames."""
        return Moments(0.0, np.zeros(dim), np.zeros(dim))

    def counting_for(self, frames: float) -> "Moments":
        """The same mean and variance with the weight of another number of frames."""
        scale = frames / max(self.count, 1.0)
        return Moments(frames, self.total * scale, self.squares * scale)

    def moved_by(self, offset: float) -> "Moments":
        """Those of the same frames with a constant added to every feature."""
        squares = self.squares + 2 * offset * self.total + self.count * offset**2
        return Moments(self.count, self.total + self.count * offset, squares)

    def level(self) -> float:
        """The mean over all frames and features: with log filter banks, how loud they are."""
        return float(self.total.mean() / self.count)

    def shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and inverse standard deviation ``[D]``, float32."""
        mean = self.total / self.count
        variance = np.maximum(self.squares / self.count - np.square(mean), VARIANCE_FLOOR)
        return mean.astype(np.float32), (1.0 / np.sqrt(variance)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"count": self.count, "total": self.total.tolist(), "squares": self.squares.tolist()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Moments":
        """From `to_dict`."""
        return Moments(values["count"], np.array(values["total"]), np.array(values["squares"]))


def normalize(feats: np.ndarray, moments: Moments, prior: Moments | None, prior_frames: int) -> None:
    """Bring frames ``[T, D]`` to zero mean and unit variance in place.

    The corpus says how a spectrum is shaped and how far it varies; how loud a recording is, it says itself: the
    corpus' moments are moved to the recording's own level before they are added, or half a second of a quiet
    speaker would be taken for silence.

    Args:
        moments: of all frames that share one mean and variance.
        prior: the corpus', added with the weight of ``prior_frames`` frames (as in Kaldi's online CMVN, but for
            the level).
    """
    if prior is not None and prior_frames > 0:
        at_own_level = prior.moved_by(moments.level() - prior.level())
        moments = moments + at_own_level.counting_for(prior_frames)
    mean, scale = moments.shift_and_scale()
    feats -= mean
    feats *= scale


def normalize_online(feats: np.ndarray, heard: Moments, prior: Moments, prior_frames: int) -> Moments:
    """Normalise frames ``[T, D]`` in place as they come: each by the frames up to itself and by the corpus.

    As `normalize`, but a recording's level is not known when it begins, and often it begins with silence: the level
    that the corpus' moments are moved to starts at their own and follows what was heard as
    ``count / (count + LEVEL_FRAMES)``. Frames given at once or in pieces come out the same, bit for bit.

    Args:
        heard: moments of the frames before these; of none at the beginning.
        prior: the corpus'.
        prior_frames: 0 counts as `ONLINE_PRIOR_FRAMES`: nothing can be normalised by its own first frame.

    Returns:
        the moments of all frames heard.
    """
    weight = prior_frames or ONLINE_PRIOR_FRAMES
    wide = feats.astype(np.float64)
    count_T = heard.count + np.arange(1, len(feats) + 1)
    total_TD = np.cumsum(np.concatenate([heard.total[None], wide]), axis=0)[1:]
    squares_TD = np.cumsum(np.concatenate([heard.squares[None], np.square(wide)]), axis=0)[1:]
    moved_T = (total_TD.mean(axis=1) / count_T - prior.level()) * count_T / (count_T + LEVEL_FRAMES)
    prior_mean_D = prior.total / prior.count
    prior_variance_D = prior.squares / prior.count - np.square(prior_mean_D)
    prior_TD = prior_mean_D + moved_T[:, None]
    weights_T1 = (count_T + weight)[:, None]
    mean_TD = (total_TD + weight * prior_TD) / weights_T1
    second_TD = (squares_TD + weight * (prior_variance_D + np.square(prior_TD))) / weights_T1
    feats[:] = (wide - mean_TD) / np.sqrt(np.maximum(second_TD - np.square(mean_TD), VARIANCE_FLOOR))
    return Moments(float(count_T[-1]), total_TD[-1], squares_TD[-1]) if len(feats) else heard
