"""Entropy pruning: drop the n-grams a model hardly needs (Stolcke 1998, "Entropy-based pruning of backoff models").

An n-gram goes where the model without it has a perplexity on its own text higher by less than a share. How often a
history occurs is taken from the text: the shorter distributions of a Kneser-Ney model do not say it (Chelba et al.
2010, "Study on interaction between entropy pruning and Kneser-Ney smoothing").

Legend: K n-grams of an order, H histories (the n-grams one order below).
"""

import numpy as np

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.kneser_ney import Estimated
from asr_kd.lang.ngram_table import NgramTable
from asr_kd.lang.normalisation import left_over, normalised


def pruned(estimated: Estimated, threshold: float) -> Estimated:
    """Drop n-grams of order 2 and up whose absence raises the perplexity by less than ``threshold``, as a share of it.

    An n-gram stays where a longer one that stays has it as its history.
    """
    model = estimated.model
    kept = [np.ones(len(table), bool) for table in model.tables]
    for order in range(model.order, 1, -1):
        kept[order - 1] = np.expm1(_losses(model, order, estimated.frequency[order - 2])) >= threshold
        if order < model.order:
            longer = model.tables[order].keys_K[kept[order]]
            kept[order - 1][longer // len(model.words)] = True
    tables: list[NgramTable] = []
    place = np.arange(len(model.words))
    for table, kept_K in zip(model.tables, kept, strict=True):
        history_K, word_K = np.divmod(table.keys_K[kept_K], len(model.words))
        keys_K = place[history_K] * len(model.words) + word_K if tables else table.keys_K
        tables.append(NgramTable(keys_K, table.logp_K[kept_K], table.backoff_K[kept_K]))
        place = np.cumsum(kept_K) - 1
    frequency = tuple(share[kept_K] for share, kept_K in zip(estimated.frequency, kept, strict=True))
    return Estimated(normalised(model.words, tables), frequency, estimated.discounts)


def _losses(model: BackoffModel, order: int, frequency_H: np.ndarray) -> np.ndarray:
    """The relative entropy between the model and the one without an n-gram, for each of an order, float64 [K]."""
    table = model.tables[order - 1]
    history_K, logp_K = table.keys_K // len(model.words), table.logp_K
    shorter_logp_K = model.score_ngrams(model.ngrams(order)[:, 1:])
    p_K, shorter_K = np.exp(logp_K), np.exp(shorter_logp_K)
    left_K = left_over(history_K, p_K, len(frequency_H))[history_K]
    shorter_left_K = left_over(history_K, shorter_K, len(frequency_H))[history_K]
    backoff_K = np.log(left_K / shorter_left_K)
    backoff_without_K = np.log((left_K + p_K) / (shorter_left_K + shorter_K))
    own_K = p_K * (logp_K - shorter_logp_K - backoff_without_K)
    return frequency_H[history_K] * (own_K - left_K * (backoff_without_K - backoff_K))
