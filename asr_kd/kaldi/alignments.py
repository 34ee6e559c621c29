"""Kaldi's alignments as labels of a frame store.

Legend: N frames of the store, P pdfs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asr_kd.errors import DataError, MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.kaldi.archives import read_integer_archive
from asr_kd.kaldi.object_reader import ObjectReader

_JOBS_FILE = "num_jobs"


@dataclass
class ImportedAlignments:
    """Labels of a frame store, and what became of each alignment.

    Attributes:
        pdfs: ``[N]`` int32, -1 where there is no label.
        counts: ``[P]`` frames of each pdf in all alignments, before any was cut or left out.
        dropped: utterances of the store without labels, and why.
        cut: utterances whose alignment was a little longer than their frames.
        short: utterances whose last frames have no label, because the alignment was a little shorter.
        elsewhere: alignments of utterances that the store has not.
    """

    pdfs: np.ndarray
    counts: np.ndarray
    dropped: list[tuple[str, str]] = field(default_factory=list)
    cut: int = 0
    short: int = 0
    elsewhere: int = 0


def alignment_files(path: Path) -> list[Path]:
    """The archives ``ali.*.gz`` of a directory that Kaldi's scripts made, or one file.

    Raises:
        DataError: there are none, or not as many as ``num_jobs`` says.
    """
    if path.is_file():
        return [path]
    found = sorted(path.glob("ali.*.gz"))
    if not found:
        raise DataError(f"{path}: no alignments there; expected a directory with ali.*.gz, or an archive")
    jobs = path / _JOBS_FILE
    if jobs.is_file() and jobs.read_text().split() != [str(len(found))]:
        raise DataError(f"{path}: {len(found)} files ali.*.gz, but num_jobs says {jobs.read_text().strip()}; copy all")
    return found


def import_alignments(
    files: Sequence[Path], store: FrameStore, pdf_of: np.ndarray, num_pdfs: int, *, max_difference: int
) -> ImportedAlignments:
    """Label the frames of a store by the alignments of the same utterances.

    Features by Kaldi's conventions and ours have as many frames. Where an alignment differs by up to
    ``max_difference`` frames, the two are matched from their start: what is too much is cut, frames that are left
    over have no label. One that differs by more is dropped.

    Args:
        files: archives of ids.
        pdf_of: the pdf of each id, -1 for none.

    Raises:
        DataError: an utterance that is aligned twice.
        MismatchError: ids without a pdf; more than half of the store's utterances get no labels.
    """
    frames = dict(store.index.slices())
    made = ImportedAlignments(np.full(store.num_frames, -1, np.int32), np.zeros(num_pdfs, np.int64))
    seen: dict[str, Path] = {}
    reasons: dict[str, str] = {}
    for path in files:
        for utterance, ids in read_integer_archive(path):
            if utterance in seen:
                raise DataError(f"{path}: '{utterance}' a second time, after {seen[utterance]}; remove one of them")
            seen[utterance] = path
            pdfs = _pdfs(ids, pdf_of, f"{path}: '{utterance}'")
            made.counts += np.bincount(pdfs, minlength=num_pdfs)
            if utterance not in frames:
                made.elsewhere += 1
            elif reason := _too_different(len(pdfs), frames[utterance], max_difference):
                reasons[utterance] = reason
            else:
                _place(pdfs, frames[utterance], made)
    made.dropped = [
        (utterance, reasons.get(utterance, "no alignment"))
        for utterance in frames
        if utterance not in seen or utterance in reasons
    ]
    if len(made.dropped) > len(frames) / 2:
        utterance, reason = made.dropped[0]
        raise MismatchError(
            f"{len(made.dropped)} of {len(frames)} utterances of {store.path} get no labels (as {utterance}: "
            f"{reason}); import the alignments of the same data"
        )
    return made


def compare_with_occs(counts: np.ndarray, path: Path) -> str:
    """Say how the frames of each pdf compare with Kaldi's own count, a model's ``.occs``."""
    theirs = np.rint(ObjectReader.open(path).vector()).astype(np.int64)
    if len(theirs) != len(counts):
        return f"{path} counts {len(theirs)} pdfs, the alignments are of {len(counts)}"
    if differing := int((theirs != counts).sum()):
        return (
            f"{path} counts {theirs.sum()} frames, the alignments have {counts.sum()}, and {differing} of "
            f"{len(counts)} pdfs differ: it is of the alignments that the model was trained on last"
        )
    return f"the frames of every pdf are as many as {path} counts"


def _pdfs(ids: np.ndarray, pdf_of: np.ndarray, where: str) -> np.ndarray:
    known = (ids >= 0) & (ids < len(pdf_of))
    pdfs = pdf_of[np.where(known, ids, 0)]
    wrong = ~known | (pdfs < 0)
    if wrong.any():
        raise MismatchError(
            f"{where} has the id {ids[wrong][0]}, expected {int(pdf_of[0] < 0)} to {len(pdf_of) - 1}: give the model "
            "that made the alignments, and --ids pdf where they hold pdf ids"
        )
    return pdfs


def _too_different(length: int, frames: slice, max_difference: int) -> str:
    count = frames.stop - frames.start
    if abs(length - count) <= max_difference:
        return ""
    chain = abs(3 * length - count) <= 3
    return f"{length} aligned frames for {count}" + (": a chain model's, of every third frame" if chain else "")


def _place(pdfs: np.ndarray, frames: slice, made: ImportedAlignments) -> None:
    count = frames.stop - frames.start
    made.cut += len(pdfs) > count
    made.short += len(pdfs) < count
    used = pdfs[:count]
    made.pdfs[frames.start : frames.start + len(used)] = used
