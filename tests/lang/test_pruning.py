"""Entropy pruning drops what costs least, by its definition, and what is left still sums to one."""

import math

import numpy as np
import pytest
from arpa_oracle import SENTENCES, estimated, histories, ngrams_of, slow_logp, total
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.lang.pruning import pruned


@given(sentences=SENTENCES, order=st.integers(2, 4), threshold=st.sampled_from([1e-5, 1e-3, 3e-3, 1e-2, 0.1]))
@settings(max_examples=40)
def test_the_words_after_every_history_of_a_pruned_model_sum_to_one(
    sentences: list[list[str]], order: int, threshold: float
) -> None:
    model = pruned(estimated(sentences, order, (1,) * order), threshold).model
    ngrams = ngrams_of(model)
    for history in histories(model):
        assert total(ngrams, model, history) == pytest.approx(1, abs=1e-9), history


@given(sentences=SENTENCES, threshold=st.sampled_from([1e-4, 1e-3, 1e-2]))
@settings(max_examples=40)
def test_a_bigram_goes_where_the_model_without_it_is_little_worse(sentences: list[list[str]], threshold: float) -> None:
    before = estimated(sentences, 2, (1, 1))
    kept = ngrams_of(pruned(before, threshold).model)
    ngrams, words = ngrams_of(before.model), [word for word in before.model.words if word != "<s>"]
    share = dict(zip(before.model.words, before.frequency[0].tolist(), strict=True))
    for history, word in (ngram for ngram in ngrams if len(ngram) == 2):
        without = {ngram: weights for ngram, weights in ngrams.items() if ngram != (history, word)}
        followers = [x for x in words if (history, x) in without]
        left = 1 - sum(math.exp(without[history, x][0]) for x in followers)
        shorter = 1 - sum(math.exp(without[(x,)][0]) for x in followers)
        without[(history,)] = (without[(history,)][0], math.log(left / shorter))
        p = {x: slow_logp(ngrams, (history,), x, 2) for x in words}
        q = {x: slow_logp(without, (history,), x, 2) for x in words}
        loss = math.expm1(share[history] * sum(math.exp(p[x]) * (p[x] - q[x]) for x in words))
        if abs(loss - threshold) > 1e-9:
            assert ((history, word) in kept) == (loss >= threshold)


def test_a_kept_ngram_keeps_its_histories_and_its_probability() -> None:
    before = estimated([["a", "b", "c"]] * 30 + [["a"], ["b", "a"], ["c", "c"]] * 3, 3, (1, 1, 1))
    after = pruned(before, 0.01)
    all_before, all_after = ngrams_of(before.model), ngrams_of(after.model)
    assert 0 < len(after.model.tables[2]) < len(before.model.tables[2])
    for ngram, (logp, _) in all_after.items():
        assert ngram[:-1] == () or ngram[:-1] in all_after
        assert logp == all_before[ngram][0]


def test_a_higher_threshold_keeps_fewer_ngrams_and_none_keeps_all() -> None:
    before = estimated([["a", "b", "c"]] * 5 + [["a"], ["b", "a"], ["c", "c"]], 3, (1, 1, 1))
    sizes = [sum(map(len, pruned(before, threshold).model.tables)) for threshold in (1e-4, 1e-2, 0.05, 0.9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == len(before.model.words) < sizes[0]


def test_frequencies_stay_with_their_ngrams() -> None:
    before = estimated([["a", "b", "c"]] * 5 + [["a"], ["b", "a"], ["c", "c"]], 3, (1, 1, 1))
    after = pruned(before, 0.01)
    shares = dict(zip(map(tuple, before.model.ngrams(2)), before.frequency[1], strict=True))
    for words, share in zip(map(tuple, after.model.ngrams(2)), after.frequency[1], strict=True):
        assert share == shares[words]
    assert all(len(share) == len(table) for share, table in zip(after.frequency, after.model.tables, strict=True))
    np.testing.assert_array_equal(after.frequency[0], before.frequency[0])
