"""What directories say of one trained system: its word errors, its frame errors, or both, utterance by utterance.

Legend: U utterances, L slots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asr_kd.errors import DataError, MismatchError
from asr_kd.score.decoded import SYSTEM_FILE, read_info, read_text
from asr_kd.score.frame_accuracy import read_frames
from asr_kd.score.segments import slot_errors
from asr_kd.score.wer import align_words, count_words

REF_FILE, HYP_FILE, FRAMES_FILE = "ref.txt", "hyp.txt", "frames.tsv"
FRAME_METRICS = ("frame_accuracy", "cross_entropy")
WORD_METRICS = ("wer", "sub", "del", "ins", "ser")

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One trained system (or ensemble) on a test set, or on one fold of it.

    Attributes:
        seed: None where the directory does not say; `num_pdfs` likewise.
        labels: fingerprints of the frame labels, of every fold; empty where they are not said.
        references: the reference words of each utterance; empty where no words were recognised.
        ratios: numerators [U] and denominators [U] of every metric.
        slots: word errors by slot of each utterance; empty where no words were recognised.
    """

    directory: Path
    name: str
    seed: int | None
    num_pdfs: int | None
    labels: frozenset[str]
    utterances: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    ratios: Mapping[str, tuple[FloatArray, FloatArray]]
    slots: tuple[npt.NDArray[np.int64], ...]

    def of_other_frames(self, other: "Outcome") -> bool:
        """Whether the labels of the two are known to differ."""
        return bool(self.num_pdfs != other.num_pdfs or (self.labels and other.labels and self.labels != other.labels))


def read_outcome(directory: Path) -> Outcome:
    """Read a directory with ``ref.txt`` and ``hyp.txt``, with ``frames.tsv``, or with both.

    Without ``system.json`` it is called by its folder's name: so the words of any recogniser can be compared.

    Raises:
        DataError: it has neither, or a file is malformed.
    """
    info = read_info(directory / SYSTEM_FILE) if (directory / SYSTEM_FILE).exists() else None
    parts = []
    for file, read in ((HYP_FILE, _read_words), (FRAMES_FILE, _read_frames)):
        if (directory / file).exists():
            parts.append(read(directory))
    if not parts:
        raise DataError(
            f"{directory}: neither words (hyp.txt, ref.txt) nor frame counts (frames.tsv) in it; "
            "expected the output of asr-kd decode, rescore or evaluate"
        )
    utterances, references, ratios, slots = parts[0]
    if len(parts) > 1:
        labelled, _, frame_ratios, _ = parts[1]
        if set(labelled) != set(utterances):
            odd = min(set(labelled) ^ set(utterances))
            raise DataError(
                f"{directory / FRAMES_FILE}: not the utterances of ref.txt (as {odd}); run asr-kd decode again"
            )
        rows = dict(zip(labelled, range(len(labelled)), strict=True))
        order = [rows[utterance] for utterance in utterances]
        ratios |= {metric: (above[order], below[order]) for metric, (above, below) in frame_ratios.items()}
    return Outcome(
        directory=directory,
        name=info.name if info else directory.resolve().name,
        seed=info.seed if info else None,
        num_pdfs=info.num_pdfs if info else None,
        labels=frozenset([info.labels] if info and info.labels else []),
        utterances=utterances,
        references=references,
        ratios=ratios,
        slots=slots,
    )


def join_folds(folds: Sequence[Outcome]) -> Outcome:
    """One outcome over the utterances of all folds, in the order of their names.

    Raises:
        DataError: two folds test on the same utterance.
        MismatchError: only some of them have words, or labelled frames.
    """
    seen: dict[str, Path] = {}
    for fold in folds:
        for utterance in fold.utterances:
            if utterance in seen:
                raise DataError(
                    f"{fold.directory}: tests '{fold.name}' of seed {fold.seed} on {utterance}, as "
                    f"{seen[utterance]} does; name one of them only"
                )
            seen[utterance] = fold.directory
        if set(fold.ratios) != set(folds[0].ratios):
            lacking = min(set(fold.ratios) ^ set(folds[0].ratios))
            raise MismatchError(f"{folds[0].directory} and {fold.directory}: only one of the two has {lacking}")
    order = sorted(range(len(seen)), key=list(seen).__getitem__)
    references = [words for fold in folds for words in fold.references]
    slots = [errors for fold in folds for errors in fold.slots]

    def joined(metric: str) -> tuple[FloatArray, FloatArray]:
        above, below = (np.concatenate([fold.ratios[metric][part] for fold in folds])[order] for part in (0, 1))
        return above, below

    return Outcome(
        directory=folds[0].directory,
        name=folds[0].name,
        seed=folds[0].seed,
        num_pdfs=folds[0].num_pdfs,
        labels=frozenset().union(*(fold.labels for fold in folds if all(every.labels for every in folds))),
        utterances=tuple(sorted(seen)),
        references=tuple(references[row] for row in order) if references else (),
        ratios={metric: joined(metric) for metric in folds[0].ratios},
        slots=tuple(slots[row] for row in order) if slots else (),
    )


_Part = tuple[
    tuple[str, ...],
    tuple[tuple[str, ...], ...],
    dict[str, tuple[FloatArray, FloatArray]],
    tuple[npt.NDArray[np.int64], ...],
]


def _read_words(directory: Path) -> _Part:
    alignments = align_words(
        read_text(directory / REF_FILE), read_text(directory / HYP_FILE), where=str(directory / HYP_FILE)
    )
    counts = count_words(tuple(alignments.values()))
    words_U = counts.ref_words.astype(np.float64)
    errors = {"wer": counts.errors, "sub": counts.sub, "del": counts.dele, "ins": counts.ins}
    ratios = {metric: (errors_U.astype(np.float64), words_U) for metric, errors_U in errors.items()}
    ratios["ser"] = (counts.errors > 0).astype(np.float64), np.ones(len(words_U))
    references = tuple(tuple(word.ref for word in words if word.ref) for words in alignments.values())
    return tuple(alignments), references, ratios, tuple(slot_errors([words]) for words in alignments.values())


def _read_frames(directory: Path) -> _Part:
    utterances, counts = read_frames(directory / FRAMES_FILE)
    frames_U = counts.num_frames.astype(np.float64)
    columns = (counts.num_correct.astype(np.float64), counts.cross_entropy)
    ratios = {metric: (column, frames_U) for metric, column in zip(FRAME_METRICS, columns, strict=True)}
    return utterances, (), ratios, ()
