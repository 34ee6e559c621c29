"""Word errors: reference and hypothesis aligned utterance by utterance, counted and written.

The alignment is that of NIST ``sclite``, which weighs a substitution 4 and an insertion or deletion 3, so that
words are not matched with others for want of better. Once in thousands of errors this makes one more than the fewest,
which jiwer and Kaldi's ``compute-wer`` count. No package aligns so: kaldialign has the weights, but breaks ties
otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from asr_kd.errors import DataError

_SHOWN = 3
_GAP = "***"

# What sclite's dynamic programme makes an error cost.
_SUBSTITUTION, _GAP_COST = 4, 3


class AlignedWord(NamedTuple):
    """One column of an alignment. ``op`` is C (correct), S, I (no ref) or D (no hyp), as Kaldi writes them."""

    ref: str
    hyp: str
    op: str


@dataclass(frozen=True, kw_only=True)
class WordCounts:
    """Word errors, one entry an utterance: integer arrays [U]."""

    sub: npt.NDArray[np.int64]
    ins: npt.NDArray[np.int64]
    dele: npt.NDArray[np.int64]
    ref_words: npt.NDArray[np.int64]

    @property
    def errors(self) -> npt.NDArray[np.int64]:
        """Substitutions, insertions and deletions together, [U]."""
        return self.sub + self.ins + self.dele

    @property
    def wer(self) -> float:
        """Errors over reference words, both summed over the utterances."""
        return float(self.errors.sum() / self.ref_words.sum())


def align_words(
    ref: Mapping[str, Sequence[str]], hyp: Mapping[str, Sequence[str]], *, where: str = "hyp.txt"
) -> dict[str, tuple[AlignedWord, ...]]:
    """Align each utterance's hypothesis with its reference, as NIST sclite does.

    Args:
        ref: words by utterance.
        hyp: words by utterance; a hypothesis may be empty, but must be there.
        where: what to call the hypotheses in an error.

    Raises:
        DataError: an utterance is in only one of the two, or a reference has no words.
    """
    _require_none(sorted(set(ref) - set(hyp)), f"{where}: no hypothesis for", "decode again")
    _require_none(
        sorted(set(hyp) - set(ref)), f"{where}: hypotheses for utterances without a reference:", "decode again"
    )
    _require_none(
        [utterance for utterance, words in ref.items() if not words],
        f"{where}: the reference is empty for",
        "an error rate needs words: drop them from the test set",
    )
    if not ref:
        raise DataError(f"{where}: no utterances to score")
    return {utterance: _aligned(words, hyp[utterance]) for utterance, words in ref.items()}


def count_words(alignments: Sequence[Sequence[AlignedWord]]) -> WordCounts:
    """Count the errors of each alignment."""
    ops = ["".join(word.op for word in alignment) for alignment in alignments]
    counts = {op: np.array([line.count(op) for line in ops], dtype=np.int64) for op in "CSID"}
    return WordCounts(
        sub=counts["S"], ins=counts["I"], dele=counts["D"], ref_words=counts["C"] + counts["S"] + counts["D"]
    )


def wer_line(*, sub: int, ins: int, dele: int, ref_words: int) -> str:
    """The line Kaldi's ``compute-wer`` prints: ``%WER 10.70 [ n / N, i ins, d del, s sub ]``."""
    errors = sub + ins + dele
    return f"%WER {100 * errors / ref_words:.2f} [ {errors} / {ref_words}, {ins} ins, {dele} del, {sub} sub ]"


def wer_lines(counts: WordCounts) -> str:
    """The ``%WER`` and ``%SER`` (utterances with an error) lines of one run."""
    words = wer_line(
        sub=int(counts.sub.sum()),
        ins=int(counts.ins.sum()),
        dele=int(counts.dele.sum()),
        ref_words=int(counts.ref_words.sum()),
    )
    wrong, utterances = int((counts.errors > 0).sum()), len(counts.errors)
    return f"{words}\n%SER {100 * wrong / utterances:.2f} [ {wrong} / {utterances} ]\n"


def format_alignment(utterance: str, words: Sequence[AlignedWord]) -> str:
    """Four lines as in Kaldi's ``wer_per_utt_details``: ref, hyp and op in columns, then the counts."""
    columns = [(word.ref or _GAP, word.hyp or _GAP, word.op) for word in words]
    widths = [max(map(len, column)) for column in columns]
    rows = [" ".join(c[row].ljust(w) for c, w in zip(columns, widths, strict=True)).rstrip() for row in range(3)]
    ops = [word.op for word in words]
    csid = " ".join(str(ops.count(op)) for op in "CSID")
    labelled = zip(("ref  ", "hyp  ", "op   ", "#csid"), (*rows, csid), strict=True)
    return "".join(f"{utterance} {label} {row}\n" for label, row in labelled)


def trn_line(speaker: str, utterance: str, words: Sequence[str]) -> str:
    """One line of NIST's trn format: ``<words> (<speaker>-<utterance>)``, for ``sclite -i rm``."""
    return " ".join([*words, f"({speaker}-{utterance})"]) + "\n"


def _aligned(ref: Sequence[str], hyp: Sequence[str]) -> tuple[AlignedWord, ...]:
    """The cheapest alignment; of equals the one that, from the end, pairs before it inserts, inserts before deletes."""
    costs = _costs(ref, hyp)
    i, j = len(ref), len(hyp)
    columns: list[AlignedWord] = []
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + _pair_cost(ref[i - 1], hyp[j - 1]):
            i, j = i - 1, j - 1
            columns.append(AlignedWord(ref[i], hyp[j], "C" if ref[i] == hyp[j] else "S"))
        elif j and costs[i][j] == costs[i][j - 1] + _GAP_COST:
            j -= 1
            columns.append(AlignedWord("", hyp[j], "I"))
        else:
            i -= 1
            columns.append(AlignedWord(ref[i], "", "D"))
    return tuple(reversed(columns))


def _costs(ref: Sequence[str], hyp: Sequence[str]) -> list[list[int]]:
    """Of aligning the first i words of ``ref`` with the first j of ``hyp``, [i][j]."""
    costs = [[_GAP_COST * j for j in range(len(hyp) + 1)]]
    for word in ref:
        above, row = costs[-1], [costs[-1][0] + _GAP_COST]
        for j, other in enumerate(hyp):
            row.append(min(above[j] + _pair_cost(word, other), above[j + 1] + _GAP_COST, row[j] + _GAP_COST))
        costs.append(row)
    return costs


def _pair_cost(word: str, other: str) -> int:
    return 0 if word == other else _SUBSTITUTION


def _require_none(utterances: Sequence[str], what: str, advice: str) -> None:
    if utterances:
        more = f" and {len(utterances) - _SHOWN} more" if len(utterances) > _SHOWN else ""
        raise DataError(f"{what} {', '.join(utterances[:_SHOWN])}{more}; {advice}")
