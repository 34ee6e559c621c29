"""How well a language model foretells a text: perplexity, unknown words, how long the n-grams are that it knows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.ngram_table import ABSENT


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """A model's figures on a text. Sentence ends count as words foretold, sentence starts do not.

    Attributes:
        sentences: sentences of the text.
        words: its words, without sentence ends.
        unknown: words outside the model.
        known: the perplexity over known words and sentence ends. The text's unknown words still stand in histories.
        with_unknown: the perplexity over all, unknown words with the probability of ``<unk>``; None where the model
            has no ``<unk>``.
        hits: the share of known words and sentence ends whose probability came from an n-gram of order 1, 2, ...
    """

    sentences: int
    words: int
    unknown: int
    known: float
    with_unknown: float | None
    hits: tuple[float, ...]


def measure(model: BackoffModel, sentences: Sequence[Sequence[str]]) -> Perplexity:
    """A model's figures on a text of at least one sentence."""
    numbers_T, starts = model.stream(sentences)
    scores = model.score(numbers_T, starts)
    foretold_T = np.ones(len(numbers_T), bool)
    foretold_T[starts] = False
    known_T = foretold_T & (numbers_T != model.unknown) & (numbers_T != ABSENT)
    orders = np.bincount(scores.order_T[known_T], minlength=model.order + 1)[1:]
    return Perplexity(
        sentences=len(starts),
        words=int(foretold_T.sum()) - len(starts),
        unknown=int(foretold_T.sum() - known_T.sum()),
        known=_perplexity(scores.logp_T[known_T]),
        with_unknown=None if model.unknown == ABSENT else _perplexity(scores.logp_T[foretold_T]),
        hits=tuple((orders / orders.sum()).tolist()),
    )


def _perplexity(logp: np.ndarray) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(-logp.mean()))
