"""What tests of language models share: small models, and their probabilities computed the slow way."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from hypothesis import strategies as st

from asr_kd.lang.arpa import BackoffModel
from asr_kd.lang.kneser_ney import Estimated, estimate
from asr_kd.lang.ngram_counts import count_ngrams
from asr_kd.lang.numbered_text import number_text, with_boundaries

SENTENCES = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=7), min_size=1, max_size=12)
VOCABULARY = ("a", "b", "c", "never")  # "d" is <unk>, "never" is not seen

Ngrams = Mapping[tuple[str, ...], tuple[float, float]]


def estimated(sentences: Sequence[Sequence[str]], order: int, min_counts: Sequence[int]) -> Estimated:
    """The model of some sentences, over VOCABULARY."""
    numbers_T, starts_S = with_boundaries(number_text(sentences), VOCABULARY)
    counts = count_ngrams(numbers_T, starts_S, num_words=3 + len(VOCABULARY), order=order)
    return estimate(counts, VOCABULARY, min_counts)


def ngrams_of(model: BackoffModel) -> dict[tuple[str, ...], tuple[float, float]]:
    """Each n-gram with the natural logarithms of its probability and its back-off weight."""
    return {
        tuple(model.words[number] for number in words): (float(logp), float(backoff))
        for order, table in enumerate(model.tables, 1)
        for words, logp, backoff in zip(model.ngrams(order), table.logp_K, table.backoff_K, strict=True)
    }


def slow_logp(ngrams: Ngrams, history: Sequence[str], word: str, order: int) -> float:
    """The back-off recursion as it is written in every text book."""
    history = tuple(history)[max(len(history) - order + 1, 0) :]
    ngram = (*history, word)
    if ngram in ngrams:
        return ngrams[ngram][0]
    backoff = ngrams[history][1] if history in ngrams else 0.0
    return backoff + slow_logp(ngrams, history[1:], word, order)


def histories(model: BackoffModel) -> Iterator[tuple[str, ...]]:
    """All sequences of up to order - 1 words that may stand before a word, with <s> only in front."""
    inner = [word for word in model.words if word not in ("<s>", "</s>")]
    for length in range(model.order):
        for first in itertools.product(["<s>", *inner], repeat=min(length, 1)):
            for rest in itertools.product(inner, repeat=max(length - 1, 0)):
                yield (*first, *rest)


def total(ngrams: Ngrams, model: BackoffModel, history: Sequence[str]) -> float:
    """What all words after a history sum to; it must be 1."""
    words = [word for word in model.words if word != "<s>"]
    return sum(math.exp(slow_logp(ngrams, history, word, model.order)) for word in words)
