"""An interpolated model says what its parts say, weighted, and the weights are the best for a text."""

import math

import numpy as np
import pytest
from arpa_oracle import SENTENCES, estimated, histories, ngrams_of, slow_logp, total
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.lang.mixture import mixed, tuned_weights
from asr_kd.lang.perplexity import measure


@given(first=SENTENCES, second=SENTENCES, weight=st.floats(0.1, 0.9), orders=st.sampled_from([(3, 3), (3, 2), (1, 2)]))
@settings(max_examples=30)
def test_an_ngram_has_the_weighted_mean_of_what_the_parts_give_it_and_histories_sum_to_one(
    first: list[list[str]], second: list[list[str]], weight: float, orders: tuple[int, int]
) -> None:
    parts = [estimated(text, order, (1,) * order) for text, order in zip((first, second), orders, strict=True)]
    model = mixed(parts, [weight, 1 - weight]).model
    ngrams, sources = ngrams_of(model), [ngrams_of(part.model) for part in parts]
    assert set(ngrams) == set(sources[0]) | set(sources[1])
    for ngram, (logp, _) in ngrams.items():
        given_it = [
            math.exp(slow_logp(source, ngram[:-1], ngram[-1], order))
            for source, order in zip(sources, orders, strict=True)
        ]
        assert math.exp(logp) == pytest.approx(weight * given_it[0] + (1 - weight) * given_it[1], rel=1e-9)
    for history in histories(model):
        assert total(ngrams, model, history) == pytest.approx(1, abs=1e-9), history


def test_frequencies_of_a_mixture_are_weighted_too() -> None:
    parts = [estimated([["a", "b"]], 2, (1, 1)), estimated([["c"]], 2, (1, 1))]
    made = mixed(parts, [0.25, 0.75])
    shares = dict(zip(map(tuple, made.model.ngrams(2)), made.frequency[1], strict=True))
    number = {word: place for place, word in enumerate(made.model.words)}
    assert shares[number["a"], number["b"]] == pytest.approx(0.25 / 4)
    assert shares[number["<s>"], number["c"]] == pytest.approx(0.75 / 3)


def test_tuned_weights_are_better_for_the_text_than_others() -> None:
    texts = [[["a", "b", "c"]] * 3 + [["a"], ["b"]], [["c", "b", "a"]] * 3 + [["c", "c"]]]
    parts = [estimated(text, 2, (1, 1)) for text in texts]
    dev = [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"], ["ALIEN", "a", "b"]]
    numbers_T, starts = parts[0].model.stream(dev)
    counted = (numbers_T != parts[0].model.unknown) & (numbers_T != 1)
    p_ME = np.exp([part.model.score(numbers_T, starts).logp_T[counted] for part in parts])
    tried = {weight: np.log(weight * p_ME[0] + (1 - weight) * p_ME[1]).sum() for weight in np.linspace(0, 1, 201)}
    weights = tuned_weights([part.model for part in parts], dev)
    assert sum(weights) == pytest.approx(1)
    assert weights[0] == pytest.approx(max(tried, key=lambda weight: tried[weight]), abs=0.01)
    assert 0.5 < weights[0] < 1


def test_a_mixture_of_a_model_with_itself_is_the_model() -> None:
    part = estimated([["a", "b", "c"]] * 3 + [["a"], ["b"]], 3, (1, 1, 1))
    dev = [["a", "b"], ["never"], ["c", "b", "a"]]
    assert measure(mixed([part, part], [0.3, 0.7]).model, dev).known == pytest.approx(measure(part.model, dev).known)
