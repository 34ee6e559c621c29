"""Another language model for lists of hypotheses, its weight tuned on the dev set.

A hypothesis costs ``acoustic_scale * acoustic + rest + lm_scale * lm + insertion_penalty * words``: rest is the graph's
cost less that of the old model (silences and pronunciations), lm the negated log probability of the words, where each
word's is ``new_share * new + (1 - new_share) * old``.

Legend: U utterances, K hypotheses of all of them, W words of all hypotheses and their ends.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asr_kd.decode.nbest import Sentence
from asr_kd.errors import UsageError
from asr_kd.lang.arpa import BackoffModel
from asr_kd.options import option


@dataclass(frozen=True, kw_only=True)
class RescoreOptions:
    """The grid that is searched on dev, all of it."""

    lm_scales: tuple[float, ...] = option(
        "weights of the language model to try on dev", default=(0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)
    )
    new_shares: tuple[float, ...] = option(
        "shares of the new model in each word's probability to try on dev; the rest is the old one's",
        default=(0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    )
    acoustic_factors: tuple[float, ...] = option(
        "changes of the decode's acoustic scale to try on dev", default=(0.7, 0.85, 1.0, 1.2, 1.4)
    )
    penalties: tuple[float, ...] = option(
        "costs of a word to try on dev", default=(-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
    )

    def __post_init__(self) -> None:
        if not all((self.lm_scales, self.new_shares, self.acoustic_factors, self.penalties)):
            raise UsageError("--lm-scales, --new-shares, --acoustic-factors and --penalties need at least one value")
        if (
            min(*self.acoustic_factors, *self.lm_scales, 1) <= 0
            or not 0 <= min(self.new_shares) <= max(self.new_shares) <= 1
        ):
            raise UsageError("--lm-scales and --acoustic-factors must be above 0, --new-shares from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What the parts of a hypothesis' cost are multiplied by."""

    acoustic_scale: float
    lm_scale: float
    new_share: float
    insertion_penalty: float


class Candidates:
    """Lists of hypotheses with the scores of both language models.

    Args:
        lists: of each utterance; none may be empty.
        new: the model to rescore with.
        old: the model of the decoding graph; None where its grammar had no probabilities to take out.
    """

    def __init__(self, lists: Mapping[str, Sequence[Sentence]], new: BackoffModel, old: BackoffModel | None) -> None:
        self.utterances = tuple(lists)
        sentences = [sentence for utterance in lists.values() for sentence in utterance]
        self.words = [sentence.words for sentence in sentences]
        counts_U = np.array([len(found) for found in lists.values()], np.int64)
        self.first_U = np.cumsum(counts_U) - counts_U
        self._owner_K = np.repeat(np.arange(len(counts_U)), counts_U)
        self._length_K = np.array([len(words) for words in self.words], np.int64)
        self._first_word_K = np.cumsum(self._length_K + 1) - self._length_K - 1
        self._acoustic_K = np.array([sentence.acoustic_cost for sentence in sentences])
        self._new_W = _logp(new, self.words)
        self._old_W = None if old is None else _logp(old, self.words)
        self._rest_K = np.array([sentence.graph_cost for sentence in sentences])
        if self._old_W is not None:
            self._rest_K += np.add.reduceat(self._old_W, self._first_word_K)

    def lists(self, weights: Weights) -> dict[str, tuple[list[tuple[str, ...]], np.ndarray]]:
        """Of each utterance, all hypotheses and their costs."""
        lm_K = weights.lm_scale * self._lm_cost(weights.new_share)
        cost_K = self._base(weights.acoustic_scale) + lm_K + weights.insertion_penalty * self._length_K
        ends = [*self.first_U[1:].tolist(), len(self.words)]
        spans = zip(self.utterances, self.first_U.tolist(), ends, strict=True)
        return {utterance: (self.words[first:end], cost_K[first:end]) for utterance, first, end in spans}

    def tune(self, errors_K: np.ndarray, acoustic_scale: float, options: RescoreOptions) -> Weights:
        """The weights of the grid with the fewest errors together with their neighbours; of equals those in the middle.

        The fewest errors of thousands of points are partly luck, which neighbours do not share.

        Args:
            errors_K: of each hypothesis.
            acoustic_scale: of the decode.
        """
        grid = (
            sorted(options.new_shares) if self._old_W is not None else [1.0],
            [float(f"{factor * acoustic_scale:.6g}") for factor in sorted(options.acoustic_factors)],
            sorted(options.lm_scales),
            sorted(options.penalties),
        )
        errors = []
        for share in grid[0]:
            lm_K = self._lm_cost(share)
            for scale, lm_scale in itertools.product(grid[1], grid[2]):
                cost_K = self._base(scale) + lm_scale * lm_K
                errors += [int(errors_K[self._cheapest(cost_K, penalty)].sum()) for penalty in grid[3]]
        around = _sum_around(np.array(errors).reshape([len(values) for values in grid])).ravel()
        points = np.array(list(itertools.product(*grid)))[around == around.min()]
        share, scale, lm_scale, penalty = _middle(points)
        return Weights(
            acoustic_scale=float(scale),
            lm_scale=float(lm_scale),
            new_share=float(share),
            insertion_penalty=float(penalty),
        )

    def _base(self, acoustic_scale: float) -> np.ndarray:
        return acoustic_scale * self._acoustic_K + self._rest_K

    def _lm_cost(self, new_share: float) -> np.ndarray:
        logp_W = self._new_W
        if self._old_W is not None and new_share < 1:
            with np.errstate(divide="ignore"):
                logp_W = np.logaddexp(np.log(new_share) + self._new_W, np.log1p(-new_share) + self._old_W)
        return -np.add.reduceat(logp_W, self._first_word_K)

    def _cheapest(self, cost_K: np.ndarray, insertion_penalty: float) -> np.ndarray:
        cost_K = cost_K + insertion_penalty * self._length_K
        least_U = np.minimum.reduceat(cost_K, self.first_U)
        best_K = np.flatnonzero(cost_K == least_U[self._owner_K])
        return best_K[np.unique(self._owner_K[best_K], return_index=True)[1]]


def _logp(model: BackoffModel, sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """Log probabilities of all words and ends ``[W]``."""
    return np.concatenate(model.log_probs(sentences))


def _sum_around(values: np.ndarray) -> np.ndarray:
    """The sum of each point of a grid and its neighbours, diagonal ones too; at an edge the edge counts twice."""
    for axis in range(values.ndim):
        wider = np.pad(values, [(int(other == axis),) * 2 for other in range(values.ndim)], mode="edge")
        size = values.shape[axis]
        values = np.sum([wider.take(range(by, by + size), axis=axis) for by in range(3)], axis=0)
    return values


def _middle(points: np.ndarray) -> np.ndarray:
    """Of equally good points the one nearest to their median: the edge of a plateau is the worst place on it."""
    spread = np.maximum(points.max(axis=0) - points.min(axis=0), 1e-9)
    chosen: np.ndarray = points[np.abs((points - np.median(points, axis=0)) / spread).sum(axis=1).argmin()]
    return chosen
