"""Estimated models are those of the definition, and sum to one after every history."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction

import pytest
from arpa_oracle import SENTENCES, VOCABULARY, estimated, histories, ngrams_of, slow_logp, total
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.lang.kneser_ney import FALLBACK


class SlowKneserNey:
    """The definition, with a dictionary for each thing."""

    def __init__(self, sentences: Sequence[Sequence[str]], order: int, min_counts: Sequence[int]) -> None:
        self.words = ("<unk>", "</s>", *VOCABULARY)
        self.plain: Counter[tuple[str, ...]] = Counter()
        for sentence in sentences:
            words = ["<s>", *(word if word in VOCABULARY else "<unk>" for word in sentence), "</s>"]
            for n in range(1, order + 1):
                self.plain.update(tuple(words[k : k + n]) for k in range(len(words) - n + 1))
        before: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for ngram in self.plain:
            before[ngram[1:]].add(ngram[0])
        self.adjusted = {
            ngram: count if len(ngram) == order or ngram[0] == "<s>" else len(before[ngram])
            for ngram, count in self.plain.items()
            if ngram != ("<s>",)
        }
        self.kept = {ngram for ngram in self.adjusted if self.plain[ngram] >= min_counts[len(ngram) - 1]}
        self.kept |= {(word,) for word in self.words}
        self.discounts = [self._discounts(n) for n in range(1, order + 1)]

    def _discounts(self, n: int) -> list[float]:
        t = Counter(count for ngram, count in self.adjusted.items() if len(ngram) == n)
        if all(t[k] for k in (1, 2, 3, 4)):
            share = Fraction(t[1], t[1] + 2 * t[2])
            found = [k - (k + 1) * share * Fraction(t[k + 1], t[k]) for k in (1, 2, 3)]
            if all(0 <= d <= k for k, d in enumerate(found, 1)):
                return [float(d) for d in found]
        return list(FALLBACK)

    def probability(self, history: tuple[str, ...], word: str) -> float:
        if history and not any(ngram[:-1] == history and ngram in self.kept for ngram in self.adjusted):
            return self.probability(history[1:], word)
        seen = {x: self.adjusted.get((*history, x), 0) for x in self.words}
        everything = sum(seen.values())
        own = {}
        for x, count in seen.items():
            discount = self.discounts[len(history)][min(count, 3) - 1] if count else 0.0
            own[x] = (count - discount) / everything if everything and (*history, x) in self.kept else 0.0
        shorter = self.probability(history[1:], word) if history else 1 / len(self.words)
        return own[word] + (1 - sum(own.values())) * shorter


@given(sentences=SENTENCES, order=st.integers(1, 3), cut=st.sampled_from([(1, 1, 1), (1, 2, 2), (1, 1, 2)]))
@settings(max_examples=40)
def test_a_model_is_the_one_of_the_definition(sentences: list[list[str]], order: int, cut: tuple[int, ...]) -> None:
    model = estimated(sentences, order, cut).model
    slow, ngrams = SlowKneserNey(sentences, order, cut), ngrams_of(model)
    for history in histories(model):
        for word in slow.words:
            found = math.exp(slow_logp(ngrams, history, word, order))
            assert found == pytest.approx(slow.probability(history, word), rel=1e-9), (history, word)


@given(sentences=SENTENCES, order=st.integers(1, 4), cut=st.sampled_from([(1, 1, 1, 1), (1, 2, 2, 3)]))
@settings(max_examples=30)
def test_the_words_after_every_history_sum_to_one(sentences: list[list[str]], order: int, cut: tuple[int, ...]) -> None:
    model = estimated(sentences, order, cut).model
    ngrams = ngrams_of(model)
    for history in histories(model):
        assert total(ngrams, model, history) == pytest.approx(1, abs=1e-9), history


def test_a_cut_keeps_the_ngrams_that_occur_often_enough_and_all_words() -> None:
    sentences = [["a", "b"], ["a", "b"], ["a", "c"], ["a", "c"], ["b", "c", "a"]]
    kept = set(ngrams_of(estimated(sentences, 3, (1, 2, 2)).model))
    pairs = {("<s>", "a"), ("a", "b"), ("a", "c"), ("b", "</s>"), ("c", "</s>")}
    triples = {("<s>", "a", "b"), ("<s>", "a", "c"), ("a", "b", "</s>"), ("a", "c", "</s>")}
    assert {ngram for ngram in kept if len(ngram) == 2} == pairs
    assert {ngram for ngram in kept if len(ngram) == 3} == triples
    assert {ngram for ngram in kept if len(ngram) == 1} == {(w,) for w in ("<s>", "</s>", "<unk>", *VOCABULARY)}


def test_a_text_without_the_usual_counts_takes_fixed_discounts_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    made = estimated([["a"]], 2, (1, 1))
    assert [discount.estimated for discount in made.discounts] == [False, False]
    assert "2-grams" in caplog.text


def test_the_share_of_a_word_is_its_count_among_all_with_sentence_marks() -> None:
    made = estimated([["a", "b"], ["a"]], 2, (1, 1))
    shares = dict(zip(made.model.words, made.frequency[0].tolist(), strict=True))
    assert shares == pytest.approx(
        {"<unk>": 0, "<s>": 2 / 7, "</s>": 2 / 7, "a": 2 / 7, "b": 1 / 7, "c": 0, "never": 0}
    )
