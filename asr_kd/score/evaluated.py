"""One evaluated system: its counts of each utterance and of each class, as `asr-kd evaluate` writes them.

Legend: N frames, U utterances, P classes (pdfs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr_kd.errors import DataError
from asr_kd.score.decoded import SYSTEM_FILE, SystemInfo, read_info, read_speakers
from asr_kd.score.frame_accuracy import HEADER, FrameCounts, read_frames
from asr_kd.stage import write_json, write_text

FRAMES_FILE, CLASSES_FILE, SPEAKERS_FILE = "frames.tsv", "classes.tsv", "utt2spk"
CLASSES_HEADER = ("class", "num_frames", "num_correct", "num_decided")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One trained system (or ensemble) on labelled frames.

    Attributes:
        classes_P3: of each class its labelled frames, those of them decided right, and all that were decided for it.
    """

    directory: Path
    info: SystemInfo
    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    frames: FrameCounts
    classes_P3: Ints

    @property
    def num_errors(self) -> int:
        """Labelled frames decided wrong."""
        return int(self.frames.num_frames.sum() - self.frames.num_correct.sum())


def write_evaluated(
    directory: Path,
    *,
    utterances: Sequence[str],
    speakers: Sequence[str],
    counts_U: npt.NDArray[np.int64],
    labels_N: npt.NDArray[np.int32],
    decisions_N: npt.NDArray[np.int32],
    label_logp_N: npt.NDArray[np.float32],
    system: Mapping[str, Any],
) -> None:
    """Write the results of one system into an existing directory.

    Args:
        counts_U: frames of each utterance; they follow each other.
        labels_N: class of each frame, -1 where it has none: such frames are not counted.
        label_logp_N: log posterior of each frame's label in nats.
        system: what `SystemInfo` holds.
    """
    labelled_N = labels_N >= 0
    correct_N = labelled_N & (decisions_N == labels_N)
    columns = (
        labelled_N.astype(np.int64),
        correct_N.astype(np.int64),
        np.where(labelled_N, -label_logp_N.astype(np.float64), 0.0),
    )
    frames_U, correct_U, entropy_U = (_sums(column, counts_U) for column in columns)
    rows = zip(utterances, frames_U, correct_U, entropy_U, strict=True)
    lines = [f"{utterance}\t{frames}\t{correct}\t{entropy:.6f}" for utterance, frames, correct, entropy in rows]
    write_text(directory / FRAMES_FILE, "\n".join(["\t".join(HEADER), *lines]) + "\n")
    num_classes = int(system["num_pdfs"])
    by_class = [
        np.bincount(labels_N[labelled_N], minlength=num_classes),
        np.bincount(labels_N[correct_N], minlength=num_classes),
        np.bincount(decisions_N[labelled_N], minlength=num_classes),
    ]
    lines = ["\t".join(map(str, (number, *counts))) for number, counts in enumerate(zip(*by_class, strict=True))]
    write_text(directory / CLASSES_FILE, "\n".join(["\t".join(CLASSES_HEADER), *lines]) + "\n")
    write_text(directory / SPEAKERS_FILE, "".join(f"{u} {s}\n" for u, s in zip(utterances, speakers, strict=True)))
    write_json(directory / SYSTEM_FILE, dict(system))


def read_evaluated(directory: Path) -> Evaluated:
    """Read what `write_evaluated` wrote.

    Raises:
        DataError: a file is missing or malformed.
    """
    utterances, frames = read_frames(directory / FRAMES_FILE)
    return Evaluated(
        directory=directory,
        info=read_info(directory / SYSTEM_FILE),
        utterances=utterances,
        speakers=read_speakers(directory / SPEAKERS_FILE, utterances),
        frames=frames,
        classes_P3=_read_classes(directory / CLASSES_FILE),
    )


def _sums(column_N: npt.NDArray[Any], counts_U: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Sums over each utterance's frames."""
    totals = np.concatenate([[0], np.cumsum(column_N)])
    ends_U = np.cumsum(counts_U)
    sums: npt.NDArray[Any] = totals[ends_U] - totals[ends_U - counts_U]
    return sums


def _read_classes(path: Path) -> Ints:
    try:
        header, *lines = path.read_text().splitlines()
        rows = np.array([line.split("\t") for line in lines], dtype=np.int64).reshape(-1, len(CLASSES_HEADER))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read it ({error}); run asr-kd evaluate again") from error
    if tuple(header.split("\t")) != CLASSES_HEADER:
        raise DataError(f"{path}:1: expected the columns {' '.join(CLASSES_HEADER)}, separated by tabs")
    return rows[:, 1:]
