"""Which words are mistaken for which, which are lost and which are made up, with counts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from asr_kd.score.wer import AlignedWord
from asr_kd.stage import write_text

CONFUSIONS_HEADER = ("op", "ref", "hyp", "count")
WORDS_HEADER = ("word", "said", "correct", "substituted", "deleted", "mistaken_for_it", "inserted")

Errors = TypeVar("Errors", str, tuple[str, str], tuple[str, str, str])


@dataclass(frozen=True)
class Confusions:
    """Counts over all utterances.

    Attributes:
        substituted: by (word said, word recognised).
        deleted: by word said.
        inserted: by word recognised.
        correct: by word.
    """

    substituted: Counter[tuple[str, str]] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    inserted: Counter[str] = field(default_factory=Counter)
    correct: Counter[str] = field(default_factory=Counter)

    @property
    def num_errors(self) -> int:
        """All word errors."""
        return self.substituted.total() + self.deleted.total() + self.inserted.total()


def count_confusions(alignments: Iterable[Sequence[AlignedWord]]) -> Confusions:
    """Count the words of some alignments; those of several runs may follow each other."""
    found = Confusions()
    for words in alignments:
        for word in words:
            if word.op == "S":
                found.substituted[word.ref, word.hyp] += 1
            elif word.op == "D":
                found.deleted[word.ref] += 1
            elif word.op == "I":
                found.inserted[word.hyp] += 1
            else:
                found.correct[word.ref] += 1
    return found


def most_confused(confusions: Confusions, number: int) -> dict[str, list[list[str | int]]]:
    """The most frequent substitutions (said, recognised, count), deletions and insertions (word, count)."""
    return {
        "sub": [[*pair, count] for pair, count in _ranked(confusions.substituted)[:number]],
        "del": [[word, count] for word, count in _ranked(confusions.deleted)[:number]],
        "ins": [[word, count] for word, count in _ranked(confusions.inserted)[:number]],
    }


def write_confusions(path: Path, confusions: Confusions) -> None:
    """Write every error with its count, the most frequent first."""
    counts = Counter({("S", ref, hyp): count for (ref, hyp), count in confusions.substituted.items()})
    counts |= Counter({("D", word, ""): count for word, count in confusions.deleted.items()})
    counts |= Counter({("I", "", word): count for word, count in confusions.inserted.items()})
    _write_tsv(path, CONFUSIONS_HEADER, [(*words, str(count)) for words, count in _ranked(counts)])


def write_words(path: Path, confusions: Confusions) -> None:
    """Write what became of every word, those with the most errors first."""
    lost, gained = Counter[str](), Counter[str]()
    for (ref, hyp), count in confusions.substituted.items():
        lost[ref] += count
        gained[hyp] += count
    rows = {}
    for word in {*lost, *gained, *confusions.deleted, *confusions.inserted, *confusions.correct}:
        correct, deleted = confusions.correct[word], confusions.deleted[word]
        said = correct + lost[word] + deleted
        rows[word] = (said, correct, lost[word], deleted, gained[word], confusions.inserted[word])
    ordered = sorted(rows, key=lambda word: (-sum(rows[word][2:]), word))
    _write_tsv(path, WORDS_HEADER, [(word, *map(str, rows[word])) for word in ordered])


def _ranked(counts: Counter[Errors]) -> list[tuple[Errors, int]]:
    """The most frequent first, equals by their words: the same page from the same errors."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _write_tsv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    write_text(path, "".join("\t".join(row) + "\n" for row in (header, *rows)))
