"""Counts of the n-grams of a text, of all orders up to one.

Legend: T words of the text with <s> and </s>, K n-grams of an order, V words of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_kd.lang.ngram_table import ABSENT
from asr_kd.lang.numbered_text import START_NUMBER


@dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order.

    Attributes:
        keys_K: as in `NgramTable`: the history's place one order below x V + the last word, ascending.
        count_K: how often each occurs.
        before_K: how many different words come before it; its count where nothing can, as it begins with ``<s>``,
            and in the highest order. The "adjusted" or "continuation" count of Kneser and Ney.
        suffix_K: the place, one order below, of the n-gram without its first word; in the first order zeros.
    """

    keys_K: np.ndarray
    count_K: np.ndarray
    before_K: np.ndarray
    suffix_K: np.ndarray

    def __len__(self) -> int:
        return len(self.keys_K)


def count_ngrams(numbers_T: np.ndarray, starts_S: np.ndarray, *, num_words: int, order: int) -> list[NgramCounts]:
    """Count the n-grams of order 1 to ``order``; none crosses a sentence's start.

    Args:
        numbers_T: the text, with ``<s>`` before and ``</s>`` after each sentence.
        starts_S: the places of ``<s>``.
        num_words: V; in the first order every word stands, counted or not.
        order: the highest.
    """
    once = np.zeros(num_words, np.int64)
    counts = [NgramCounts(np.arange(num_words), np.bincount(numbers_T, minlength=num_words), once, once)]
    ngram_T = numbers_T
    for _ in range(1, order):
        shorter_T, longer_T = ngram_T, np.full(len(numbers_T), ABSENT, np.int64)
        history_T = np.concatenate([[ABSENT], shorter_T[:-1]])
        history_T[starts_S] = ABSENT
        able = np.flatnonzero(history_T != ABSENT)
        keys = history_T[able] * num_words + numbers_T[able]
        keys_K, ngram_able, count_K = np.unique(keys, return_inverse=True, return_counts=True)
        longer_T[able] = ngram_able
        suffix_K = np.empty(len(keys_K), np.int64)
        suffix_K[ngram_able] = shorter_T[able]
        counts[-1] = _with_words_before(counts, suffix_K, num_words)
        counts.append(NgramCounts(keys_K, count_K, count_K, suffix_K))
        ngram_T = longer_T
    if order == 1:
        counts[0] = NgramCounts(counts[0].keys_K, counts[0].count_K, counts[0].count_K, once)
    return counts


def _with_words_before(counts: Sequence[NgramCounts], suffix_K: np.ndarray, num_words: int) -> NgramCounts:
    """The last order's counts, once the n-grams one longer are known by their suffixes."""
    last = counts[-1]
    first_word_K = np.arange(len(last))
    for shorter in reversed(counts[1:]):
        first_word_K = shorter.keys_K[first_word_K] // num_words
    before_K = np.bincount(suffix_K, minlength=len(last))
    before_K = np.where(first_word_K == START_NUMBER, last.count_K, before_K)
    return NgramCounts(last.keys_K, last.count_K, before_K, last.suffix_K)
