"""Linear interpolation of n-gram models into one, and its weights from a text.

p(w | h) = sum over models of weight x p_model(w | h), for every n-gram that one of them has; the back-off weights are
computed anew ("static" interpolation). Legend: M models, E words and sentence ends of a text, K n-grams of an order.
"""

from collections.abc import Sequence

import numpy as np

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.kneser_ney import Estimated
from asr_kd.lang.ngram_table import ABSENT, NgramTable, spell
from asr_kd.lang.normalisation import normalised

_ROUNDS = 100
_SETTLED = 1e-6


def tuned_weights(models: Sequence[BackoffModel], sentences: Sequence[Sequence[str]]) -> list[float]:
    """The weights that make a text most probable, by expectation-maximisation; unknown words do not count.

    Args:
        models: all with the same words.
        sentences: the text, of which no model has seen anything.
    """
    numbers_T, starts = models[0].stream(sentences)
    counted_T = (numbers_T != models[0].unknown) & (numbers_T != ABSENT)
    counted_T[starts] = False
    p_ME = np.exp([model.score(numbers_T, starts).logp_T[counted_T] for model in models])
    weights_M = np.full(len(models), 1 / len(models))
    for _ in range(_ROUNDS):
        joint_ME = weights_M[:, None] * p_ME
        before_M, weights_M = weights_M, (joint_ME / joint_ME.sum(0)).mean(1)
        if np.abs(weights_M - before_M).max() < _SETTLED:
            break
    return [float(weight) for weight in weights_M]


def mixed(parts: Sequence[Estimated], weights: Sequence[float]) -> Estimated:
    """One model of several with the same words.

    Args:
        parts: the models.
        weights: one for each; they sum to one.
    """
    words = parts[0].model.words
    tables: list[NgramTable] = []
    frequency: list[np.ndarray] = []
    places = [np.arange(len(words)) for _ in parts]
    for order in range(1, max(part.model.order for part in parts) + 1):
        having = [k for k, part in enumerate(parts) if part.model.order >= order]
        keys = {k: _keys(parts[k].model, order, places[k]) for k in having}
        union_K = np.unique(np.concatenate(list(keys.values())))
        places = [
            np.searchsorted(union_K, keys[k]) if k in having else np.empty(0, np.int64) for k in range(len(parts))
        ]
        words_KO = spell([*(table.keys_K for table in tables), union_K], len(words), order)
        p_K, share_K = np.zeros(len(union_K)), np.zeros(len(union_K))
        for k, (part, weight) in enumerate(zip(parts, weights, strict=True)):
            p_K += weight * np.exp(part.model.score_ngrams(words_KO))
            if k in having:
                share_K[places[k]] += weight * part.frequency[order - 1]
        with np.errstate(divide="ignore"):
            tables.append(NgramTable(union_K, np.log(p_K), np.zeros(len(union_K))))
        frequency.append(share_K)
    return Estimated(normalised(words, tables), tuple(frequency))


def _keys(model: BackoffModel, order: int, place: np.ndarray) -> np.ndarray:
    """A model's n-grams as keys over the mixture's histories; ``place`` says where its own histories are there."""
    keys_K = model.tables[order - 1].keys_K
    if order == 1:
        return keys_K
    history_K, word_K = np.divmod(keys_K, len(model.words))
    return place[history_K] * len(model.words) + word_K
