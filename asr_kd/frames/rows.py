"""Write a frame store's features: pad every utterance, normalise, index.

Legend: T frames of one utterance, D features of one frame.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from asr_kd.errors import DataError
from asr_kd.frames.cmvn import CmvnOptions, Moments, normalize
from asr_kd.frames.store import FEATS_FILE, FrameIndex


def write_rows(
    out: Path,
    utterances: Iterable[tuple[str, str, np.ndarray]],
    cmvn: CmvnOptions,
    *,
    left_context: int,
    right_context: int,
    prior: Moments | None = None,
    moments: Mapping[str, Moments] | None = None,
) -> tuple[FrameIndex, Moments]:
    """Write ``feats.npy`` into an existing directory; returns the index of its frames, and the prior.

    Args:
        utterances: id, speaker and features ``[T, D]`` float32 of each, T at least 1.
        prior: moments for ``--cmvn-prior-frames``; these utterances' own if None.
        moments: of each speaker or utterance (as ``cmvn`` says), where they are known; else the frames' own.

    Raises:
        DataError: no utterances.
    """
    ids: list[str] = []
    speakers: list[str] = []
    counts: list[int] = []
    sums: dict[str, Moments] = {}
    pad, dim = left_context + right_context, 0
    with (out / FEATS_FILE).open("wb") as file:
        for utterance, speaker, feats in utterances:
            if not ids:
                dim = feats.shape[1]
                _write_header(file, 0, dim)
            ids.append(utterance)
            speakers.append(speaker)
            counts.append(len(feats))
            key = _shares(utterance, speaker, cmvn)
            sums[key] = sums[key] + Moments.of(feats) if key in sums else Moments.of(feats)
            np.pad(feats, ((left_context, right_context), (0, 0)), mode="edge").tofile(file)
        if not ids:
            raise DataError(f"{out.name}: no utterance has any frame")
        index = FrameIndex(tuple(ids), tuple(speakers), np.array(counts, dtype=np.int64))
        file.seek(0)
        _write_header(file, index.num_frames + pad * len(ids), dim)
    prior = prior if prior is not None else sum(list(sums.values())[1:], start=next(iter(sums.values())))
    if cmvn.cmvn != "none":
        _normalize_all(out / FEATS_FILE, index, moments if moments is not None else sums, prior, cmvn, pad)
    return index, prior


def _normalize_all(
    path: Path, index: FrameIndex, moments: Mapping[str, Moments], prior: Moments, cmvn: CmvnOptions, pad: int
) -> None:
    rows = np.load(path, mmap_mode="r+")
    for number, (speaker, (utterance, frames)) in enumerate(zip(index.speakers, index.slices(), strict=True)):
        padded = rows[frames.start + pad * number : frames.stop + pad * (number + 1)]
        normalize(padded, moments[_shares(utterance, speaker, cmvn)], prior, cmvn.cmvn_prior_frames)
    rows.flush()


def _shares(utterance: str, speaker: str, cmvn: CmvnOptions) -> str:
    """What an utterance shares its mean and variance with."""
    return speaker if cmvn.cmvn == "speaker" else utterance


def _write_header(file: IO[bytes], num_rows: int, dim: int) -> None:
    """Numpy leaves room in the header for the first axis to grow, so it can be written again."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, dim)}
    np.lib.format.write_array_header_1_0(file, header)
