"""Write soft targets as Kaldi posteriors: pairs of a pdf id and its weight, for every frame."""

import gzip
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asr_kd.errors import MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.kaldi.archives import encode_posterior, posterior_line, write_archive
from asr_kd.options import option
from asr_kd.stage import Stage, fingerprint
from asr_kd.targets.store import SoftTargets, TargetReader

log = logging.getLogger(__name__)

NAME = "post"


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: Path = option("frame store", positional=True)
    soft_targets: Path = option("its soft targets, from asr-kd make-soft-targets", positional=True)
    out: Path = option("directory to make, with post.ark and post.scp, or post.txt.gz", positional=True)
    temperature: float | None = option("for soft targets kept as logits; the others have theirs", default=None)
    text: bool = option("text form", default=False)


def run(options: Options) -> None:
    inputs = {"frames": fingerprint(options.frames), "soft targets": fingerprint(options.soft_targets)}
    stage = Stage(options.out, command="export-soft-targets", options=options, inputs=inputs)
    if stage.finished():
        return
    store, soft = FrameStore(options.frames), SoftTargets(options.soft_targets)
    if soft.meta["index_fingerprint"] != store.index_fingerprint:
        raise MismatchError(
            f"{soft.path}: made from the frames {soft.meta['index_fingerprint']}, {store.path} holds the frames "
            f"{store.index_fingerprint}: give the frame store they were made from"
        )
    reader = TargetReader([soft], torch.device("cpu"), temperature=options.temperature)
    posteriors = _posteriors(store, reader)
    with stage.writing() as partial:
        if options.text:
            with gzip.open(partial / f"{NAME}.txt.gz", "wt", encoding="utf-8") as file:
                file.writelines(posterior_line(*posterior) for posterior in posteriors)
        else:
            encoded = ((utterance, encode_posterior(*pairs)) for utterance, *pairs in posteriors)
            write_archive(partial, NAME, encoded, final=options.out)
    log.info("%s: %d frames at temperature %g", options.out, store.num_frames, reader.temperature)


def _posteriors(store: FrameStore, reader: TargetReader) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Each utterance, the number of pairs of each of its frames, and the pairs' ids and weights."""
    for utterance, frames in store.index.slices():
        frames_B = torch.arange(frames.start, frames.stop)
        if reader.dense:
            probs_BP = reader.dense_batch(frames_B).numpy()
            rows, ids = np.nonzero(probs_BP)
            weights = probs_BP[rows, ids]
        else:
            rows, ids, weights = _merged(*(part.numpy() for part in reader.sparse_batch(frames_B)))
        yield utterance, np.bincount(rows, minlength=len(frames_B)), ids.astype(np.int32), weights.astype(np.float32)


def _merged(ids_BK: np.ndarray, probs_BK: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame, id and weight of each class that has any; a class drawn more than once has the sum."""
    num_ids = int(ids_BK.max()) + 1
    keys, place = np.unique(np.arange(len(ids_BK))[:, None] * num_ids + ids_BK, return_inverse=True)
    weights = np.bincount(place.ravel(), weights=probs_BK.ravel())
    used = weights > 0
    return keys[used] // num_ids, keys[used] % num_ids, weights[used]
