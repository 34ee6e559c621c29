"""The frame store: everything that is per frame lives in flat arrays over one utterance index.

A directory with ``index.tsv`` (utterance, speaker, first frame, number of frames), ``feats.npy``
``[N + U * (left + right), D]`` (every utterance padded with copies of its first and last frame, so that
a window is one contiguous read and never crosses an utterance) and ``meta.json``.

Legend: N frames, U utterances, D features of one frame, W = (left + 1 + right) * D, B frames of a batch.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_kd.errors import DataError
from asr_kd.stage import digest, file_sha256, write_json, write_text

INDEX_FILE, FEATS_FILE, META_FILE = "index.tsv", "feats.npy", "meta.json"
INDEX_HEADER = "utterance\tspeaker\tfirst_frame\tnum_frames"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class FrameIndex:
    """Which frames belong to which utterance."""

    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    counts: np.ndarray  # [U] int64

    @cached_property
    def firsts(self) -> np.ndarray:
        """First frame of each utterance ``[U]``."""
        return np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int64)

    @cached_property
    def num_frames(self) -> int:
        """N."""
        return int(self.counts.sum())

    def slices(self) -> Iterator[tuple[str, slice]]:
        """Each utterance and its frames."""
        for utterance, first, count in zip(self.utterances, self.firsts, self.counts, strict=True):
            yield utterance, slice(int(first), int(first + count))

    def write(self, path: Path) -> None:
        """Write ``index.tsv``."""
        rows = zip(self.utterances, self.speakers, self.firsts, self.counts, strict=True)
        write_text(path, "\n".join([INDEX_HEADER, *("\t".join(map(str, row)) for row in rows)]) + "\n")

    @staticmethod
    def read(path: Path) -> "FrameIndex":
        """Read ``index.tsv``."""
        lines = path.read_text().splitlines()
        rows = [line.split("\t") for line in lines[1:]]
        if lines[:1] != [INDEX_HEADER] or any(len(row) != 4 for row in rows):
            raise DataError(f"{path}: not a frame index; make the frame store anew")
        counts = np.array([int(row[3]) for row in rows], dtype=np.int64)
        return FrameIndex(tuple(row[0] for row in rows), tuple(row[1] for row in rows), counts)


class FrameStore:
    """A frame store on disk, its features memory-mapped.

    Attributes:
        index_fingerprint: identifies the utterances and their frames.
        feats_fingerprint: identifies the features' values.

    Raises:
        DataError: the directory is missing, incomplete or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.meta: dict[str, Any] = json.loads((path / META_FILE).read_text())
            self.index = FrameIndex.read(path / INDEX_FILE)
            self._feats = np.load(path / FEATS_FILE, mmap_mode="c")
            self.left, self.right = int(self.meta["left_context"]), int(self.meta["right_context"])
            self.index_fingerprint = str(self.meta["index_fingerprint"])
            self.feats_fingerprint = str(self.meta["feats_fingerprint"])
        except KeyError as error:
            raise DataError(f"{path / META_FILE}: does not say {error}; make the frame store anew") from error
        except (FileNotFoundError, NotADirectoryError, ValueError, EOFError) as error:
            raise DataError(f"{path}: not a frame store ({error}); make it with asr-kd make-fbank") from error
        if file_sha256(path / INDEX_FILE)[:16] != self.index_fingerprint:
            raise DataError(f"{path / INDEX_FILE}: not the index that {META_FILE} tells of; make the frame store anew")
        expected = self.index.num_frames + len(self.index.counts) * (self.left + self.right)
        if self._feats.ndim != 2 or self._feats.dtype != np.float32 or len(self._feats) != expected:
            found = f"{self._feats.dtype} of shape {self._feats.shape}"
            raise DataError(f"{path / FEATS_FILE}: {found}, expected {expected} rows of float32; make it anew")

    @property
    def num_frames(self) -> int:
        """N."""
        return self.index.num_frames

    @property
    def dim(self) -> int:
        """D."""
        return int(self._feats.shape[1])

    @property
    def input_dim(self) -> int:
        """W, the width of a window."""
        return (self.left + 1 + self.right) * self.dim

    @property
    def features_fingerprint(self) -> str:
        """Identifies how features were made, the same for all splits of a corpus."""
        return features_fingerprint(self.meta["features"])

    @cached_property
    def padded(self) -> Tensor:
        """All rows with their padding, ``[N + U * (left + right), D]``."""
        return torch.from_numpy(self._feats)

    def window_rows(self, frames: slice = slice(None)) -> np.ndarray:
        """Row of `padded` at which each frame's window starts, ``[B]`` int64."""
        frames_B = np.arange(*frames.indices(self.num_frames), dtype=np.int64)
        number_B = np.searchsorted(self.index.firsts, frames_B, side="right") - 1
        return frames_B + number_B * (self.left + self.right)

    def windows(self, frames: slice, device: torch.device = CPU, dtype: torch.dtype = torch.float32) -> Tensor:
        """The windows ``[B, W]`` of consecutive frames, gathered on a device: each row is sent and cast only once."""
        rows_B, context = self.window_rows(frames), self.left + 1 + self.right
        first, end = (int(rows_B[0]), int(rows_B[-1]) + context) if len(rows_B) else (0, context)
        return gather_windows(
            self.padded[first:end].to(device, dtype), torch.from_numpy(rows_B - first).to(device), context
        )

    def chunks(self, size: int = 4096) -> Iterator[slice]:
        """All frames in stretches of ``size``, the last one shorter."""
        for begin in range(0, self.num_frames, size):
            yield slice(begin, min(begin + size, self.num_frames))

    def own_frames(self, frames: slice) -> Tensor:
        """The features ``[B, D]`` of consecutive frames without their context."""
        return self.windows(frames)[:, self.left * self.dim : (self.left + 1) * self.dim]


def gather_windows(padded: Tensor, rows_B: Tensor, context: int, out: Tensor | None = None) -> Tensor:
    """Windows ``[B, context * D]`` that start at the given rows: each is one contiguous read.

    Args:
        padded: ``[R, D]``, contiguous.
        rows_B: first row of each window, int64.
    """
    dim = padded.shape[1]
    view = padded.as_strided((padded.shape[0] - context + 1, context * dim), (dim, 1))
    return torch.index_select(view, 0, rows_B) if out is None else torch.index_select(view, 0, rows_B, out=out)


def features_fingerprint(features: dict[str, Any]) -> str:
    """16 hex digits that identify how features are made."""
    cmvn = features.get("cmvn", {"cmvn": "none"})
    used = cmvn["cmvn"] != "none" and cmvn["cmvn_prior_frames"] > 0
    return digest({key: value for key, value in features.items() if used or key != "prior"})


def write_meta(directory: Path, index: FrameIndex, *, features: dict[str, Any], extra: dict[str, Any]) -> None:
    """Write ``index.tsv`` and ``meta.json`` of a frame store whose ``feats.npy`` is there.

    Args:
        features: how features were made: context, and options of filter banks and normalisation or an image's size.
    """
    index.write(directory / INDEX_FILE)
    meta = {
        "features": features,
        "left_context": features["left_context"],
        "right_context": features["right_context"],
        "num_frames": index.num_frames,
        "num_utterances": len(index.utterances),
        **({"frame_shift_ms": features["fbank"]["frame_shift_ms"]} if "fbank" in features else {}),
        "index_fingerprint": file_sha256(directory / INDEX_FILE)[:16],
        "feats_fingerprint": file_sha256(directory / FEATS_FILE)[:16],
        **extra,
    }
    write_json(directory / META_FILE, meta)
