"""How sure a list of hypotheses is of each word."""

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

_NEGLIGIBLE = 1e-4


def word_confidences(
    words: Sequence[str], hypotheses: Sequence[Sequence[str]], costs: Sequence[float] | np.ndarray
) -> list[float]:
    """Of each word, the probability of the hypotheses that have it in the same place.

    A hypothesis' probability is the softmax of its negated cost over the list. What is in the same place follows from
    the longest common blocks of words.

    Args:
        words: what was recognised.
        hypotheses: the list.
        costs: negated log scores of the list.
    """
    weights = np.exp(np.min(costs) - np.asarray(costs, dtype=np.float64))
    weights /= weights.sum()
    confidences = np.zeros(len(words))
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(list(words))
    for hypothesis, weight in zip(hypotheses, weights.tolist(), strict=True):
        if weight < _NEGLIGIBLE:
            continue
        matcher.set_seq1(list(hypothesis))
        for block in matcher.get_matching_blocks():
            confidences[block.b : block.b + block.size] += weight
    return np.minimum(confidences, 1.0).tolist()
