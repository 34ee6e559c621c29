"""A table of n-grams of one order, and the search in it for many at once.

Legend: K n-grams of a table, Q queries, V words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ABSENT = -1


@dataclass(frozen=True)
class NgramTable:
    """The n-grams of one order, each as its history's place in the table one order below and its last word.

    Attributes:
        keys_K: history x V + last word, ascending, int64; of single words 0 .. V - 1.
        logp_K: natural log of the probability of the last word given those before it.
        backoff_K: natural log of the back-off weight of this n-gram as a history; of the highest order zeros.
    """

    keys_K: np.ndarray
    logp_K: np.ndarray
    backoff_K: np.ndarray

    def __len__(self) -> int:
        return len(self.keys_K)


def find(keys_K: np.ndarray, num_words: int, history_Q: np.ndarray, word_Q: np.ndarray) -> np.ndarray:
    """Where each history followed by each word stands among sorted keys, int64 [Q]; `ABSENT` where it does not."""
    found_Q = np.full(len(word_Q), ABSENT, np.int64)
    able = np.flatnonzero((history_Q != ABSENT) & (word_Q != ABSENT))
    if len(able) == 0 or len(keys_K) == 0:
        return found_Q
    asked = history_Q[able].astype(np.int64) * num_words + word_Q[able]
    place = np.searchsorted(keys_K, asked)
    place[place == len(keys_K)] = 0
    hit = keys_K[place] == asked
    found_Q[able[hit]] = place[hit]
    return found_Q


def spell(keys: Sequence[np.ndarray], num_words: int, order: int, rows: slice = slice(None)) -> np.ndarray:
    """The words of the n-grams of one order, int64 [K, order]; ``keys`` are those of all orders from 1 up."""
    number_K = np.arange(*rows.indices(len(keys[order - 1])))
    words_KO = np.empty((len(number_K), order), np.int64)
    for n in range(order, 1, -1):
        number_K, words_KO[:, n - 1] = np.divmod(keys[n - 1][number_K], num_words)
    words_KO[:, 0] = number_K
    return words_KO
