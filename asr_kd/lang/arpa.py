"""Back-off n-gram models: read from an ARPA file, written to one, and asked for the probability of sentences.

Legend: T words of all sentences asked for, each with <s> before and </s> after it, K n-grams of a table, O words of
an n-gram.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from asr_kd.errors import GrammarError
from asr_kd.lang.arpa_reader import ArpaNgrams, read_arpa
from asr_kd.lang.lexicon import SENTENCE_END, SENTENCE_START
from asr_kd.lang.ngram_table import ABSENT, NgramTable, find, spell
from asr_kd.lang.zipped import writing

UNKNOWN = "<unk>"
NEVER_LOG10 = -99.0  # how ARPA files write the logarithm of 0

_OUTSIDE_LOGP = -100 * math.log(10)
_LN10 = math.log(10)
_ROWS = 1 << 18  # n-grams written or looked up at a time


@dataclass(frozen=True)
class Scores:
    """What a model says of each word of a stream.

    Attributes:
        logp_T: natural log of the word's probability given those before it in its sentence.
        order_T: the length of the n-gram that gave it; 0 for a word outside the model.
    """

    logp_T: np.ndarray
    order_T: np.ndarray


class BackoffModel:
    """An n-gram model with back-off weights.

    A word outside the model counts as its ``<unk>`` (or ``<UNK>``); where it has none, the word has a probability of
    1e-100 and the words after it do not see past it.

    Args:
        words: the model's words, ``<s>``, ``</s>`` and ``<unk>`` among them; a word's number is its place.
        tables: the n-grams of order 1, 2, ...; the first has every word.
    """

    def __init__(self, words: Sequence[str], tables: Sequence[NgramTable]) -> None:
        self.words = tuple(words)
        self.tables = tuple(tables)
        self._numbers = {word: number for number, word in enumerate(self.words)}
        self._start, self._end = self._numbers[SENTENCE_START], self._numbers[SENTENCE_END]
        self.unknown = self._numbers.get(UNKNOWN, self._numbers.get(UNKNOWN.upper(), ABSENT))

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return len(self.tables)

    def __contains__(self, word: str) -> bool:
        return word in self._numbers

    @classmethod
    def load(cls, path: Path) -> "BackoffModel":
        """Read an ARPA file, gzipped or not.

        Raises:
            GrammarError: with file and line: not an ARPA file, or not a whole one; an n-gram that occurs twice, has a
                word without a 1-gram or has a history that is no n-gram itself; no ``<s>`` or ``</s>``.
        """
        sections = read_arpa(path)
        words = sections[0].words
        for word in (SENTENCE_START, SENTENCE_END):
            if word not in words:
                raise GrammarError(f"{path}: no 1-gram '{word}'; estimate the model with sentence boundaries")
        return cls(words, _tables(path, sections))

    def save(self, path: Path) -> None:
        """Write an ARPA file, gzipped where its name ends in ``.gz``."""
        with writing(path) as file:
            counts = "".join(f"ngram {n}={len(table)}\n" for n, table in enumerate(self.tables, 1))
            file.write(f"\\data\\\n{counts}".encode())
            for order in range(1, self.order + 1):
                file.write(f"\n\\{order}-grams:\n".encode())
                for first in range(0, len(self.tables[order - 1]), _ROWS):
                    file.write(self._lines(order, slice(first, first + _ROWS)).encode())
            file.write(b"\n\\end\\\n")

    def log_prob(self, words: Sequence[str]) -> np.ndarray:
        """Natural log of the probability of each word of a sentence and of its end, float64 [len(words) + 1]."""
        return self.log_probs([words])[0]

    def log_probs(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """As `log_prob` for many sentences at once, which is far faster than one by one."""
        if not sentences:
            return []
        numbers_T, starts = self.stream(sentences)
        logp_T = self.score(numbers_T, starts).logp_T
        return [part[1:] for part in np.split(logp_T, starts[1:])]

    def stream(self, sentences: Iterable[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of all words, int64 [T], and where each sentence's ``<s>`` is; `ABSENT` for unknown words."""
        numbers, unknown, lengths = self._numbers, self.unknown, []
        found: list[int] = []
        for words in sentences:
            found.append(self._start)
            found += [numbers.get(word, unknown) for word in words]
            found.append(self._end)
            lengths.append(len(words) + 2)
        return np.array(found, np.int64), np.cumsum([0, *lengths[:-1]])

    def score(self, numbers_T: np.ndarray, starts: np.ndarray) -> Scores:
        """The probability of each word given those before it, back to the nearest start.

        What is said of the words at the starts is that of the 1-grams. Follows the back-off recursion from the
        shortest n-gram to the longest: p(w | h) is the n-gram's own probability where the model has it, and else the
        back-off weight of h times p(w | h without its first word).
        """
        inside = numbers_T != ABSENT
        logp_T = np.where(inside, self.tables[0].logp_K[numbers_T], _OUTSIDE_LOGP)
        order_T = inside.astype(np.int64)
        ngram_T = numbers_T
        for order in range(2, self.order + 1):
            if not len(self.tables[order - 2]):
                break  # nor is there a longer one
            history_T = np.concatenate([[ABSENT], ngram_T[:-1]])
            history_T[starts] = ABSENT
            ngram_T = find(self.tables[order - 1].keys_K, len(self.words), history_T, numbers_T)
            logp_T = logp_T + np.where(history_T == ABSENT, 0.0, self.tables[order - 2].backoff_K[history_T])
            hit = ngram_T != ABSENT
            logp_T[hit] = self.tables[order - 1].logp_K[ngram_T[hit]]
            order_T[hit] = order
        return Scores(logp_T, order_T)

    def score_ngrams(self, words_KO: np.ndarray) -> np.ndarray:
        """Natural log of the probability of the last word given the others, float64 [K]."""
        num, length = words_KO.shape
        logp_K = np.empty(num)
        for first in range(0, num, _ROWS):
            part = words_KO[first : first + _ROWS]
            scores = self.score(part.reshape(-1), np.arange(len(part)) * length)
            logp_K[first : first + _ROWS] = scores.logp_T[length - 1 :: length]
        return logp_K

    def ngrams(self, order: int) -> np.ndarray:
        """The numbers of the words of every n-gram of one order, int64 [K, order]."""
        return spell(self._keys, len(self.words), order)

    @cached_property
    def _keys(self) -> list[np.ndarray]:
        return [table.keys_K for table in self.tables]

    def _lines(self, order: int, rows: slice) -> str:
        table = self.tables[order - 1]
        columns = [
            np.array(self.words, object)[words_K] for words_K in spell(self._keys, len(self.words), order, rows).T
        ]
        ngrams = map(" ".join, zip(*(column.tolist() for column in columns), strict=True))
        logp = np.maximum(table.logp_K[rows] / _LN10, NEVER_LOG10).tolist()
        if order == self.order:
            return "".join([f"{p:.6f}\t{ngram}\n" for p, ngram in zip(logp, ngrams, strict=True)])
        backoff = np.maximum(table.backoff_K[rows] / _LN10, NEVER_LOG10).tolist()
        return "".join([f"{p:.6f}\t{ngram}\t{b:.6f}\n" for p, ngram, b in zip(logp, ngrams, backoff, strict=True)])


def _tables(path: Path, sections: Sequence[ArpaNgrams]) -> list[NgramTable]:
    """The n-grams of a file sorted into tables."""
    num_words = len(sections[0].words)
    tables: list[NgramTable] = []
    for section in sections:
        history_K = section.numbers_KO[:, 0]
        for n in range(2, section.order):
            history_K = find(tables[n - 1].keys_K, num_words, history_K, section.numbers_KO[:, n - 1])
        if section.order > 1 and (history_K == ABSENT).any():
            row = int(np.flatnonzero(history_K == ABSENT)[0])
            ngram = " ".join(sections[0].words[number] for number in section.numbers_KO[row])
            raise GrammarError(
                f"{path}:{section.line + row}: '{ngram}' has a history that is no {section.order - 1}-gram of the file"
            )
        keys_K = history_K * num_words + section.numbers_KO[:, -1] if section.order > 1 else history_K
        sorted_K = np.argsort(keys_K, kind="stable")
        keys_K = keys_K[sorted_K]
        if (again := np.flatnonzero(keys_K[1:] == keys_K[:-1])).size:
            line, first = (section.line + int(sorted_K[again[0] + place]) for place in (1, 0))
            raise GrammarError(f"{path}:{line}: the same n-gram as in line {first}; remove one of them")
        tables.append(NgramTable(keys_K, section.log10_K[sorted_K] * _LN10, section.backoff_log10_K[sorted_K] * _LN10))
    return tables
