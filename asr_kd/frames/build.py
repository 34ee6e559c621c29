"""Build a frame store from a data directory: read, transform, normalise, pad, write.

Legend: T frames of one utterance, D features of one frame.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from tqdm import tqdm

from asr_kd.corpus.data_dir import Utterance
from asr_kd.errors import DataError, UsageError
from asr_kd.frames.cmvn import CmvnOptions, Moments, normalize
from asr_kd.frames.fbank import Fbank, FbankOptions
from asr_kd.frames.store import FEATS_FILE, FrameIndex, write_meta
from asr_kd.memory import keep_freed_memory
from asr_kd.options import group, option, to_dict
from asr_kd.threads import threaded_map

log = logging.getLogger(__name__)
T = TypeVar("T")

CHUNK_UTTERANCES = 32


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """Everything that decides what a network's input is."""

    fbank: FbankOptions = group(FbankOptions)
    cmvn: CmvnOptions = group(CmvnOptions)
    left_context: int = option("frames to the left of the labelled one; the paper's 20", default=20)
    right_context: int = option("frames to the right of it; the paper's 5", default=5)

    def __post_init__(self) -> None:
        if self.left_context < 0 or self.right_context < 0:
            raise UsageError("--left-context and --right-context must not be negative")

    def describe(self, prior: Moments) -> dict[str, Any]:
        """As JSON values, with the corpus moments that short recordings are normalised towards."""
        return to_dict(self) | {"prior": prior.to_dict()}


def build_frame_store(
    out: Path,
    utterances: Sequence[Utterance],
    read: Callable[[Utterance], np.ndarray],
    options: FeatureOptions,
    *,
    prior: Moments | None = None,
    nj: int = 1,
) -> None:
    """Write ``index.tsv``, ``feats.npy`` and ``meta.json`` into an existing directory.

    Args:
        read: gives an utterance's samples at the options' sample rate.
        prior: moments of the training corpus for ``--cmvn-prior-frames``; these utterances' own if None.
        nj: threads that read and transform (both release the interpreter).

    Raises:
        DataError: unreadable audio, non-finite features, or no utterance as long as one window.
    """
    keep_freed_memory()
    fbank = Fbank(options.fbank)
    pad = options.left_context + options.right_context
    kept: list[Utterance] = []
    counts: list[int] = []
    sums: dict[str, Moments] = {}

    def transform(chunk: Sequence[Utterance]) -> list[np.ndarray]:
        return [feats.numpy() for feats in fbank([read(utterance) for utterance in chunk])]

    with (out / FEATS_FILE).open("wb") as file:
        _write_header(file, 0, options.fbank.num_mel_bins)
        with tqdm(total=len(utterances), unit="utt", disable=None) as progress:
            for chunk, all_feats in threaded_map(transform, _chunks(utterances, CHUNK_UTTERANCES), nj=nj):
                for utterance, feats in zip(chunk, all_feats, strict=True):
                    progress.update()
                    if not len(feats):
                        log.warning("%s: shorter than one window, left out", utterance.id)
                        continue
                    if not np.isfinite(feats).all():
                        raise DataError(f"{utterance.id} ({utterance.audio}): its features are not finite")
                    kept.append(utterance)
                    counts.append(len(feats))
                    key = _shares(utterance, options.cmvn)
                    sums[key] = sums[key] + Moments.of(feats) if key in sums else Moments.of(feats)
                    _pad(feats, options).tofile(file)
        if not kept:
            raise DataError(f"{out.name}: no utterance is as long as one window of {options.fbank.frame_length_ms} ms")
        index = FrameIndex(tuple(u.id for u in kept), tuple(u.speaker for u in kept), np.array(counts, dtype=np.int64))
        file.seek(0)
        _write_header(file, index.num_frames + pad * len(kept), options.fbank.num_mel_bins)
    own = sum(list(sums.values())[1:], start=next(iter(sums.values())))
    prior = prior if prior is not None else own
    _normalize_all(out / FEATS_FILE, kept, index, sums, prior, options)
    write_meta(out, index, features=options.describe(prior), extra={"left_out": len(utterances) - len(kept)})


def _normalize_all(
    path: Path,
    utterances: Sequence[Utterance],
    index: FrameIndex,
    sums: dict[str, Moments],
    prior: Moments,
    options: FeatureOptions,
) -> None:
    if options.cmvn.cmvn == "none":
        return
    rows = np.load(path, mmap_mode="r+")
    pad = options.left_context + options.right_context
    for number, (utterance, (_, frames)) in enumerate(zip(utterances, index.slices(), strict=True)):
        padded = rows[frames.start + pad * number : frames.stop + pad * (number + 1)]
        normalize(padded, sums[_shares(utterance, options.cmvn)], prior, options.cmvn.cmvn_prior_frames)
    rows.flush()


def _shares(utterance: Utterance, options: CmvnOptions) -> str:
    """What an utterance shares its mean and variance with."""
    return utterance.speaker if options.cmvn == "speaker" else utterance.id


def _pad(feats: np.ndarray, options: FeatureOptions) -> np.ndarray:
    return np.pad(feats, ((options.left_context, options.right_context), (0, 0)), mode="edge")


def _write_header(file: IO[bytes], num_rows: int, dim: int) -> None:
    """Numpy leaves room in the header for the first axis to grow, so it can be written again."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, dim)}
    np.lib.format.write_array_header_1_0(file, header)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
