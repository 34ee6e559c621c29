"""One decode directory read in: what a system recognised, word by word, and how it labelled the frames."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr_kd.errors import DataError
from asr_kd.score.frame_accuracy import FrameCounts, read_frames
from asr_kd.score.segments import slot_errors
from asr_kd.score.wer import AlignedWord, WordCounts, align_words, count_words

SYSTEM_FILE = "system.json"
LOOP = "loop"  # its grammar, where the graph has no n-gram model


@dataclass(frozen=True, kw_only=True)
class SystemInfo:
    """A decode directory's ``system.json``; what is None was not measured.

    Attributes:
        labels: fingerprint of the frame labels that it was scored on; empty where that is not said.
    """

    name: str
    seed: int
    members: int
    params: int
    num_pdfs: int
    conf: str
    acoustic_scale: float | None = None
    insertion_penalty: float | None = None
    lm_scale: float | None = None
    oracle_wer: float | None = None
    beam: float | None = None
    dev_wer: float | None = None
    rtf: float | None = None
    models: tuple[str, ...] = ()
    labels: str = ""

    def of_other_labels(self, other: "SystemInfo") -> bool:
        """Whether two systems were scored on labels that are known to differ, such as those of two alignments."""
        return bool(self.labels and other.labels and self.labels != other.labels)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """One trained system (or ensemble) on the test set; every sequence and array is [U], in one order."""

    directory: Path
    info: SystemInfo
    utterances: tuple[str, ...]
    speakers: tuple[str, ...]
    alignments: tuple[tuple[AlignedWord, ...], ...]
    words: WordCounts
    frames: FrameCounts

    @cached_property
    def slots_L(self) -> npt.NDArray[np.int64]:
        """Word errors by slot, as `slot_errors` counts them."""
        return slot_errors(self.alignments)

    def references(self) -> tuple[tuple[str, ...], ...]:
        """The reference words of each utterance."""
        return tuple(tuple(word.ref for word in words if word.ref) for words in self.alignments)

    def hypotheses(self) -> tuple[tuple[str, ...], ...]:
        """The recognised words of each utterance."""
        return tuple(tuple(word.hyp for word in words if word.hyp) for words in self.alignments)


def read_decoded(directory: Path) -> Decoded:
    """Read a decode directory and align its words.

    Raises:
        DataError: a file is missing or malformed, or the files do not hold the same utterances.
    """
    info = read_info(directory / SYSTEM_FILE)
    alignments = align_words(
        read_text(directory / "ref.txt"), read_text(directory / "hyp.txt"), where=str(directory / "hyp.txt")
    )
    utterances = tuple(alignments)
    speakers = read_speakers(directory / "utt2spk", utterances)
    labelled, frames = read_frames(directory / "frames.tsv")
    if labelled != utterances:
        odd = sorted(set(labelled) ^ set(utterances))
        what = (
            f"differs from ref.txt in {len(odd)} utterances (as {odd[0]})"
            if odd
            else "is in another order than ref.txt"
        )
        raise DataError(f"{directory / 'frames.tsv'}: {what}; run asr-kd decode again")
    return Decoded(
        directory=directory,
        info=info,
        utterances=utterances,
        speakers=speakers,
        alignments=tuple(alignments.values()),
        words=count_words(tuple(alignments.values())),
        frames=frames,
    )


def pool(folds: Sequence[Decoded]) -> Decoded:
    """One run over all folds' test utterances; identity and options are those of the first fold.

    Raises:
        DataError: two folds test on the same utterance.
    """
    seen: dict[str, Path] = {}
    for fold in folds:
        for utterance in fold.utterances:
            if utterance in seen:
                both = f"{seen[utterance]} and {fold.directory}"
                raise DataError(f"{utterance}: in the test sets of both {both}; folds must be disjoint")
            seen[utterance] = fold.directory
    alignments = tuple(words for fold in folds for words in fold.alignments)
    return Decoded(
        directory=folds[0].directory,
        info=folds[0].info,
        utterances=tuple(seen),
        speakers=tuple(speaker for fold in folds for speaker in fold.speakers),
        alignments=alignments,
        words=count_words(alignments),
        frames=FrameCounts(
            num_frames=np.concatenate([fold.frames.num_frames for fold in folds]),
            num_correct=np.concatenate([fold.frames.num_correct for fold in folds]),
            cross_entropy=np.concatenate([fold.frames.cross_entropy for fold in folds]),
        ),
    )


def read_text(path: Path) -> dict[str, list[str]]:
    """Words by utterance from a Kaldi ``text``-like file; the words may be absent.

    Raises:
        DataError: the file is missing or not UTF-8, a line is empty or an utterance comes twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror}); run asr-kd decode again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); convert it") from error
    words: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        found = line.split()
        if not found:
            raise DataError(f"{path}:{number}: an empty line; expected '<utterance> <word> ...'")
        if found[0] in words:
            raise DataError(f"{path}:{number}: utterance {found[0]} comes twice")
        words[found[0]] = found[1:]
    return words


def read_info(path: Path) -> SystemInfo:
    """A ``system.json``.

    Raises:
        DataError: it is missing or malformed.
    """
    try:
        given: dict[str, Any] = json.loads(path.read_text())
        return SystemInfo(**{field.name: given[field.name] for field in fields(SystemInfo) if field.name in given})
    except OSError as error:
        raise DataError(
            f"{path}: cannot read it ({error.strerror}); expected the output of asr-kd decode or evaluate"
        ) from error
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: not a description of a system ({error})") from error


def read_speakers(path: Path, utterances: Sequence[str]) -> tuple[str, ...]:
    """Each utterance's speaker, from an ``utt2spk``.

    Raises:
        DataError: the file is unreadable, or does not name one speaker of each.
    """
    speakers = read_text(path)
    for utterance in utterances:
        if len(speakers.get(utterance, [])) != 1:
            raise DataError(f"{path}: no single speaker for utterance {utterance}")
    return tuple(speakers[utterance][0] for utterance in utterances)
