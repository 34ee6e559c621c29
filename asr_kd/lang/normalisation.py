"""Back-off weights that make every history's probabilities sum to one.

The weight of history h is (1 - sum p(w | h)) / (1 - sum p(w | h')), both sums over the words that follow h in the
model, h' being h without its first word. Legend: K n-grams of an order, H histories (the n-grams one order below),
O words of an n-gram.
"""

from collections.abc import Sequence

import numpy as np

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.ngram_table import NgramTable, spell

_ROUNDING = 1e-12


def left_over(history_K: np.ndarray, probability_K: np.ndarray, num_histories: int) -> np.ndarray:
    """What each history's words leave of one, float64 [H]."""
    return np.maximum(1.0 - np.bincount(history_K, probability_K, num_histories), _ROUNDING)


def normalised(words: Sequence[str], tables: Sequence[NgramTable]) -> BackoffModel:
    """The model of these n-grams, all back-off weights computed anew.

    Args:
        words: the model's words.
        tables: the n-grams of each order, each with its history in the table one order below.
    """
    done = [tables[0]]
    for order, table in enumerate(tables[1:], 2):
        words_KO = spell([*(shorter.keys_K for shorter in done), table.keys_K], len(words), order)
        shorter_K = np.exp(BackoffModel(words, done).score_ngrams(words_KO[:, 1:]))
        history_K, num_histories = table.keys_K // len(words), len(done[-1])
        left_H = left_over(history_K, np.exp(table.logp_K), num_histories)
        backoff_H = np.log(left_H / left_over(history_K, shorter_K, num_histories))
        done[-1] = NgramTable(done[-1].keys_K, done[-1].logp_K, backoff_H)
        done.append(NgramTable(table.keys_K, table.logp_K, np.zeros(len(table))))
    return BackoffModel(words, done)
