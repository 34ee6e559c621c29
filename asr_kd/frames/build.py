"""Build a frame store from a data directory's audio: read, transform, write."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from asr_kd.corpus.data_dir import Utterance
from asr_kd.errors import DataError, UsageError
from asr_kd.frames.cmvn import CmvnOptions, Moments
from asr_kd.frames.fbank import Fbank, FbankOptions
from asr_kd.frames.rows import write_rows
from asr_kd.frames.store import write_meta
from asr_kd.memory import keep_freed_memory
from asr_kd.options import group, option, to_dict
from asr_kd.threads import threaded_map

log = logging.getLogger(__name__)

# What is read and transformed in one call: short utterances together, a long recording by itself.
CHUNK_UTTERANCES = 32
CHUNK_SECONDS = 600.0
BYTES_A_SECOND = 32_000  # of audio of a length that no one tells: a guess is enough


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

    def transform(chunk: Sequence[Utterance]) -> list[np.ndarray]:
        return [feats.numpy() for feats in fbank([read(utterance) for utterance in chunk])]

    def transformed() -> Iterator[tuple[str, str, np.ndarray]]:
        kept = 0
        with tqdm(total=len(utterances), unit="utt", disable=None) as progress:
            for chunk, all_feats in threaded_map(transform, _chunks(utterances), nj=nj):
                for utterance, feats in zip(chunk, all_feats, strict=True):
                    progress.update()
                    if not len(feats):
                        log.warning("%s: shorter than one window, left out", utterance.id)
                        continue
                    if not np.isfinite(feats).all():
                        raise DataError(f"{utterance.id} ({utterance.audio}): its features are not finite")
                    kept += 1
                    yield utterance.id, utterance.speaker, feats
        if not kept:
            raise DataError(f"{out.name}: no utterance is as long as one window of {options.fbank.frame_length_ms} ms")

    left, right = options.left_context, options.right_context
    index, prior = write_rows(out, transformed(), options.cmvn, left_context=left, right_context=right, prior=prior)
    left_out = len(utterances) - len(index.utterances)
    write_meta(out, index, features=options.describe(prior), extra={"left_out": left_out})


def _chunks(utterances: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    """Utterances to transform together: at most so many, and none beside what is long already."""
    chunk: list[Utterance] = []
    seconds = 0.0
    for utterance in utterances:
        own = _seconds(utterance)
        if chunk and (len(chunk) == CHUNK_UTTERANCES or seconds + own > CHUNK_SECONDS):
            yield chunk
            chunk, seconds = [], 0.0
        chunk.append(utterance)
        seconds += own
    if chunk:
        yield chunk


def _seconds(utterance: Utterance) -> float:
    """About how long an utterance is: by its segment, or else by the size of its file; 0 if neither tells."""
    if utterance.end is not None:
        return utterance.end - utterance.start
    try:
        return Path(utterance.audio).stat().st_size / BYTES_A_SECOND
    except OSError:  # a command, or an entry of an archive
        return 0.0
