"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1998, section 3; Kneser and Ney 1995).

With a(hw) the adjusted count of n-gram hw (`NgramCounts.before_K`), D the discount for a count and h' the history h
without its first word:

    p(w | h) = (a(hw) - D(a(hw))) / sum_x a(hx) + backoff(h) p(w | h')

and backoff(h) is what the discounts took. Below the words stands the even distribution over all but ``<s>``. The
conventions are those of KenLM (Heafield et al. 2013): n-grams that begin with ``<s>`` have their plain counts in every
order, cut-offs go by plain counts, and what a cut-off n-gram had goes to its history's back-off weight.

Legend: K n-grams of an order, H histories (the n-grams one order below).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.ngram_counts import NgramCounts
from asr_kd.lang.ngram_table import NgramTable
from asr_kd.lang.numbered_text import SPECIAL, START_NUMBER

log = logging.getLogger(__name__)

FALLBACK = (0.5, 1.0, 1.5)  # for a text too small or too odd to have discounts of its own, as KenLM


@dataclass(frozen=True)
class Discounts:
    """What is taken from counts of one, of two, and of three and more."""

    values: tuple[float, float, float]
    estimated: bool

    def of(self, counts_K: np.ndarray) -> np.ndarray:
        """The discount of each count; nothing of a count of 0."""
        return np.array([0.0, *self.values])[np.minimum(counts_K, 3)]


@dataclass(frozen=True)
class Estimated:
    """A model and what it was made of.

    Attributes:
        model: the model.
        frequency: how often each of its n-grams occurs, as a share of the text's words; one array for each order.
        discounts: of each order; none of a mixture.
    """

    model: BackoffModel
    frequency: tuple[np.ndarray, ...]
    discounts: tuple[Discounts, ...] = ()


def estimate(counts: Sequence[NgramCounts], vocabulary: Sequence[str], min_counts: Sequence[int]) -> Estimated:
    """Estimate a model from counts.

    Args:
        counts: of order 1 up, over the words ``(*SPECIAL, *vocabulary)``.
        vocabulary: the words.
        min_counts: how often an n-gram of each order must occur to be kept; all words are. Must not fall with the
            order, so that an n-gram's parts are kept wherever it is.
    """
    num_words = len(SPECIAL) + len(vocabulary)
    discounts = [_discounts(order, _events(counts, order)) for order in range(1, len(counts) + 1)]
    probabilities = [_words_alone(counts[0], discounts[0])]
    backoffs: list[np.ndarray] = []
    kept: list[np.ndarray] = [np.ones(num_words, bool)]
    for order, (found, discount) in enumerate(zip(counts[1:], discounts[1:], strict=True), 2):
        history_K = found.keys_K // num_words
        num_histories = len(counts[order - 2])
        kept_K = found.count_K >= min_counts[order - 1]
        own_K = np.where(kept_K, found.before_K - discount.of(found.before_K), 0.0)
        total_H = np.bincount(history_K, found.before_K, num_histories)
        total_H[total_H == 0] = 1.0
        backoff_H = 1.0 - np.bincount(history_K, own_K, num_histories) / total_H
        probabilities.append(own_K / total_H[history_K] + backoff_H[history_K] * probabilities[-1][found.suffix_K])
        backoffs.append(backoff_H)
        kept.append(kept_K)
    backoffs.append(np.ones(len(counts[-1])))
    tables = _tables(counts, probabilities, backoffs, kept, num_words)
    total = counts[0].count_K.sum()
    frequency = tuple(found.count_K[kept_K] / total for found, kept_K in zip(counts, kept, strict=True))
    return Estimated(BackoffModel((*SPECIAL, *vocabulary), tables), frequency, tuple(discounts))


def _events(counts: Sequence[NgramCounts], order: int) -> np.ndarray:
    """The adjusted counts of what a model predicts: all n-grams of an order but the lone ``<s>``."""
    before_K = counts[order - 1].before_K
    return np.delete(before_K, START_NUMBER) if order == 1 else before_K


def _discounts(order: int, before_K: np.ndarray) -> Discounts:
    """Chen and Goodman's equation 26, from how many n-grams have counts 1 to 4."""
    with_count = np.bincount(np.minimum(before_K, 5), minlength=6)
    if with_count[1:5].all():
        share = with_count[1] / (with_count[1] + 2 * with_count[2])
        values = tuple(float(k - (k + 1) * share * with_count[k + 1] / with_count[k]) for k in (1, 2, 3))
        if all(0 <= value <= k for k, value in enumerate(values, 1)):
            return Discounts((values[0], values[1], values[2]), estimated=True)
    log.warning("%d-grams: too few, or unlike a text's, for discounts of their own: %s are taken", order, FALLBACK)
    return Discounts(FALLBACK, estimated=False)


def _words_alone(counts: NgramCounts, discount: Discounts) -> np.ndarray:
    """The probability of each word without a history; of ``<s>`` 0."""
    before_K = counts.before_K.copy()
    before_K[START_NUMBER] = 0
    total = max(int(before_K.sum()), 1)
    own_K = np.maximum(before_K - discount.of(before_K), 0.0) / total
    probability_K = own_K + (1.0 - own_K.sum()) / (len(own_K) - 1)
    probability_K[START_NUMBER] = 0.0
    return probability_K


def _tables(
    counts: Sequence[NgramCounts],
    probabilities: Sequence[np.ndarray],
    backoffs: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    num_words: int,
) -> list[NgramTable]:
    """The kept n-grams, their histories renumbered."""
    tables: list[NgramTable] = []
    place = np.arange(num_words)
    for order, (found, p_K, backoff_K, kept_K) in enumerate(zip(counts, probabilities, backoffs, kept, strict=True), 1):
        keys_K = found.keys_K[kept_K]
        if order > 1:
            history_K, word_K = np.divmod(keys_K, num_words)
            keys_K = place[history_K] * num_words + word_K
        with np.errstate(divide="ignore"):
            tables.append(NgramTable(keys_K, np.log(p_K[kept_K]), np.log(backoff_K[kept_K])))
        place = np.cumsum(kept_K) - 1
    return tables
