"""Which frames of a store are trained on: a share of its utterances, or only some of the pdfs.

Legend: N frames of a store, U utterances, P pdfs.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_kd.errors import DataError, MismatchError, UsageError
from asr_kd.frames.store import FrameIndex, FrameStore
from asr_kd.hmm.labels import Labels
from asr_kd.options import option

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SelectOptions:
    """Part of the training frames instead of all."""

    train_fraction: float = option("share of each frame store's utterances that is trained on, 0..1", default=1.0)
    fraction_seed: int = option("which utterances: a smaller share of the same seed is part of a larger", default=1)
    leave_out_pdfs: tuple[int, ...] = option("leave out frames with these labels, and those with none", default=())
    only_pdfs: tuple[int, ...] = option("train on frames with these labels alone", default=())

    def __post_init__(self) -> None:
        if not 0 < self.train_fraction <= 1:
            raise UsageError(f"--train-fraction must be above 0 and at most 1, got {self.train_fraction}")
        if self.leave_out_pdfs and self.only_pdfs:
            raise UsageError("give --leave-out-pdfs or --only-pdfs, not both")


def select_frames(store: FrameStore, labels: Labels | None, options: SelectOptions) -> np.ndarray | None:
    """The selected frames of a store ``[N]`` bool, or None where that is all of them.

    Where pdfs are asked for or left out, a frame without a label is not selected: nobody knows what it is.

    Raises:
        UsageError: a pdf that the state inventory does not have.
        MismatchError: pdfs are asked for or left out, and the store has no labels.
    """
    chosen_N = None
    if options.train_fraction < 1:
        chosen_U = draw_utterances(store.index, options.train_fraction, seed=options.fraction_seed)
        chosen_N = np.repeat(chosen_U, store.index.counts)
    pdfs = options.only_pdfs or options.leave_out_pdfs
    if not pdfs:
        return chosen_N
    flag = "--only-pdfs" if options.only_pdfs else "--leave-out-pdfs"
    if labels is None:
        raise MismatchError(f"{store.path}: {flag} needs the labels of these frames; give them with --labels")
    if not 0 <= min(pdfs) <= max(pdfs) < labels.num_pdfs:
        raise UsageError(f"{flag}: {labels.path} has the pdfs 0 to {labels.num_pdfs - 1}, not all of {pdfs}")
    found_N = np.isin(labels.pdfs, pdfs)
    wanted_N = found_N if options.only_pdfs else ~found_N & (labels.pdfs >= 0)
    return wanted_N if chosen_N is None else wanted_N & chosen_N


def draw_utterances(index: FrameIndex, fraction: float, *, seed: int) -> np.ndarray:
    """A share of the utterances, ``[U]`` bool: at least one, the nearest whole number to the share.

    Utterances are ranked by a hash of seed and name, so a draw does not depend on their order, and one of a smaller
    share is part of one of a larger.
    """
    ranks = [hashlib.sha256(f"{seed}\t{utterance}".encode()).digest() for utterance in index.utterances]
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    chosen_U = np.zeros(len(ranks), dtype=bool)
    chosen_U[order[: max(1, round(fraction * len(ranks)))]] = True
    return chosen_U


def report_selection(
    stores: Sequence[FrameStore],
    labels: Sequence[Labels | None],
    selected: Sequence[np.ndarray | None],
    *,
    use_unlabelled: bool,
) -> None:
    """Log what remains of the training frames.

    Args:
        selected: as from `select_frames`, of each store.
        use_unlabelled: whether frames without a label are trained on.

    Raises:
        DataError: nothing remains.
    """
    if all(chosen_N is None for chosen_N in selected):
        return
    frames = utterances = all_utterances = 0
    counts_P: np.ndarray | None = None
    for store, own, chosen_N in zip(stores, labels, selected, strict=True):
        chosen_N = np.ones(store.num_frames, dtype=bool) if chosen_N is None else chosen_N
        if own is not None and not use_unlabelled:
            chosen_N = chosen_N & (own.pdfs >= 0)
        frames += int(chosen_N.sum())
        of_utterance_N = np.repeat(np.arange(len(store.index.counts)), store.index.counts)
        utterances += len(np.unique(of_utterance_N[chosen_N]))
        all_utterances += len(store.index.counts)
        if own is not None:
            pdfs = own.pdfs[chosen_N & (own.pdfs >= 0)]
            counts = np.bincount(pdfs, minlength=own.num_pdfs)
            counts_P = counts if counts_P is None else counts_P + counts
    if not frames:
        kind = "frame" if use_unlabelled else "labelled frame"
        raise DataError(
            f"no {kind} is left to train on: raise --train-fraction, or see --leave-out-pdfs and --only-pdfs"
        )
    total = sum(store.num_frames for store in stores)
    log.info("selected %d of %d frames, %d of %d utterances", frames, total, utterances, all_utterances)
    if counts_P is not None:
        empty = int((counts_P == 0).sum())
        log.info("the selection has frames of %d of %d pdfs", len(counts_P) - empty, len(counts_P))
        if empty:
            log.warning("%d of %d pdfs have no frame in the selection", empty, len(counts_P))
