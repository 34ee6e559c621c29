"""Frame accuracy: how many frames get the pdf that the alignment gives them, utterance by utterance."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr_kd.errors import DataError

HEADER = ("utt", "num_frames", "num_correct", "cross_entropy")


@dataclass(frozen=True, kw_only=True)
class FrameCounts:
    """Labelled frames, one entry an utterance.

    Attributes:
        num_frames: frames that have a label, [U].
        num_correct: of these, frames whose most probable pdf is the label, [U].
        cross_entropy: sum over these frames of -log p(label) in nats at T = 1, [U].
    """

    num_frames: npt.NDArray[np.int64]
    num_correct: npt.NDArray[np.int64]
    cross_entropy: npt.NDArray[np.float64]

    @property
    def accuracy(self) -> float:
        """Correct frames over labelled frames, both summed over the utterances."""
        return float(self.num_correct.sum() / self.num_frames.sum())

    @property
    def mean_cross_entropy(self) -> float:
        """Nats a labelled frame."""
        return float(self.cross_entropy.sum() / self.num_frames.sum())


def read_frames(path: Path) -> tuple[tuple[str, ...], FrameCounts]:
    """Read a ``frames.tsv``: its utterances in order, and their counts.

    Raises:
        DataError: the file is missing, malformed or holds no labelled frame.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror}); run asr-kd decode again") from error
    if not lines or tuple(lines[0].split("\t")) != HEADER:
        raise DataError(f"{path}:1: expected the columns {' '.join(HEADER)}, separated by tabs")
    rows = [_row(path, number, line) for number, line in enumerate(lines[1:], 2)]
    if not any(row[1] for row in rows):
        raise DataError(f"{path}: no labelled frames; was the test set aligned?")
    counts = FrameCounts(
        num_frames=np.array([row[1] for row in rows], dtype=np.int64),
        num_correct=np.array([row[2] for row in rows], dtype=np.int64),
        cross_entropy=np.array([row[3] for row in rows], dtype=np.float64),
    )
    return tuple(row[0] for row in rows), counts


def _row(path: Path, number: int, line: str) -> tuple[str, int, int, float]:
    try:
        utterance, num_frames, num_correct, cross_entropy = line.split("\t")
        row = utterance, int(num_frames), int(num_correct), float(cross_entropy)
    except ValueError as error:
        raise DataError(f"{path}:{number}: expected an utterance and three numbers, found '{line}'") from error
    if not 0 <= row[2] <= row[1] or not np.isfinite(row[3]):
        raise DataError(f"{path}:{number}: impossible counts: {row[2]} of {row[1]} frames, cross-entropy {row[3]}")
    return row
