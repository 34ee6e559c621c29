"""Word errors of many hypotheses of one utterance at once, for choosing among them."""

from collections.abc import Mapping, Sequence

import numpy as np

_NEGLIGIBLE = 1e-4  # of the likeliest hypothesis' probability


def edit_distances(reference: Sequence[str], hypotheses: Sequence[Sequence[str]]) -> np.ndarray:
    """The fewest substitutions, insertions and deletions between a reference and each hypothesis.

    Levenshtein's distance by dynamic programming, a row a reference word, all hypotheses together.

    Returns:
        int64, one a hypothesis.
    """
    numbers = {word: number for number, word in enumerate(dict.fromkeys(reference))}
    lengths = np.array([len(words) for words in hypotheses], np.int64)
    longest = int(lengths.max(initial=0))
    words = np.full((len(hypotheses), longest), -1, np.int64)
    for row, hypothesis in zip(words, hypotheses, strict=True):
        row[: len(hypothesis)] = [numbers.get(word, -1) for word in hypothesis]
    places = np.arange(longest + 1)
    costs = np.tile(places, (len(hypotheses), 1))
    for word in reference:
        row = costs + 1
        row[:, 1:] = np.minimum(row[:, 1:], costs[:, :-1] + (words != numbers[word]))
        # An insertion moves along the row: the least of all places before, each as far away as it is.
        costs = np.minimum.accumulate(row - places, axis=1) + places
    return costs[np.arange(len(hypotheses)), lengths]


def least_risk(hypotheses: Sequence[Sequence[str]], costs: Sequence[float] | np.ndarray) -> int:
    """The hypothesis with the fewest errors to be expected, as its place in the list; of equals the cheapest.

    Each hypothesis may be what was said, with the softmax of its negated cost over the list as its probability
    (Stolcke, Koenig & Weintraub 1997, "Explicit word error minimization in N-best list rescoring").

    Args:
        hypotheses: the list, one or more.
        costs: negated log probabilities, up to a constant.
    """
    costs_K = np.asarray(costs, dtype=np.float64)
    probabilities_K = np.exp(costs_K.min() - costs_K)
    expected_K = np.zeros(len(hypotheses))
    for place in np.flatnonzero(probabilities_K > _NEGLIGIBLE).tolist():
        expected_K += probabilities_K[place] * edit_distances(hypotheses[place], hypotheses)
    return int(np.lexsort((costs_K, np.round(expected_K, 9)))[0])


def oracle_error_rate(reference: Mapping[str, Sequence[str]], errors: Mapping[str, np.ndarray]) -> float:
    """The word error rate of choosing the best hypothesis of every utterance; one without any counts as empty."""
    fewest = sum(int(errors[u].min()) if u in errors else len(words) for u, words in reference.items())
    return fewest / sum(map(len, reference.values()))
