"""NIST's sentence segments: stretches with errors, parted by words that no recogniser gets wrong.

Legend: U utterances, L slots, S segments. An utterance of n words has 2 n + 1 slots: the insertions before each word,
the word itself, and the insertions after the last one.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asr_kd.score.wer import AlignedWord

FloatArray = npt.NDArray[np.float64]

# How many words in a row all recognisers must have right for what follows to be another segment.
WORDS_RIGHT = 2


def slot_errors(alignments: Sequence[Sequence[AlignedWord]]) -> npt.NDArray[np.int64]:
    """Word errors of every slot, [L], utterance after utterance."""
    errors: list[int] = []
    for words in alignments:
        errors.append(0)
        for word in words:
            if word.op == "I":
                errors[-1] += 1
            else:
                errors += [int(word.op != "C"), 0]
    return np.array(errors, dtype=np.int64)


def segment_errors(a_L: npt.ArrayLike, b_L: npt.ArrayLike, words_U: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The errors of two systems in every segment in which one of them errs, [S] and [S].

    A segment ends where both have two words in a row right, with nothing inserted between them, or with the utterance
    (Gillick & Cox, ICASSP 1989; NIST ``sc_stats -t mapsswe``). Stretches without an error are no segments. NIST's
    program does not see what only the second of its systems inserts after an utterance's last word; here it counts.

    Args:
        a_L: the first system's errors by slot; means over seeds may be fractions.
        b_L: the second's.
        words_U: reference words of each utterance.
    """
    first_L, second_L = np.asarray(a_L, dtype=np.float64), np.asarray(b_L, dtype=np.float64)
    sizes_U = 2 * np.asarray(words_U, dtype=np.int64) + 1
    (wrong,) = np.nonzero((first_L > 0) | (second_L > 0))
    if not len(wrong):
        return first_L[wrong], second_L[wrong]
    ends_U = np.cumsum(sizes_U)
    utterance = np.searchsorted(ends_U, wrong, side="right")
    place = wrong - (ends_U - sizes_U)[utterance]
    right_between = place[1:] // 2 - (place[:-1] + 1) // 2
    new = (np.diff(utterance) > 0) | (right_between >= WORDS_RIGHT)
    begins = np.concatenate([[0], np.flatnonzero(new) + 1])
    return np.add.reduceat(first_L[wrong], begins), np.add.reduceat(second_L[wrong], begins)
