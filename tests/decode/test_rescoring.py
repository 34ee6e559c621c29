"""Rescoring is the arithmetic it says it is, and its grid is searched whole."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.decode.confidence import word_confidences
from asr_kd.decode.nbest import Sentence
from asr_kd.decode.rescoring import Candidates, RescoreOptions, Weights
from asr_kd.errors import UsageError
from asr_kd.lang.arpa import BackoffModel

WORDS = ("A", "B", "C")


def unigram(path: Path, logs: Sequence[float]) -> BackoffModel:
    rows = "".join(f"{log}\t{word}\n" for log, word in zip(logs, ("</s>", *WORDS), strict=True))
    path.write_text(f"\\data\\\nngram 1={len(WORDS) + 2}\n\n\\1-grams:\n-99\t<s>\n{rows}\n\\end\\\n")
    return BackoffModel.load(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[BackoffModel, BackoffModel]:
    folder = tmp_path_factory.mktemp("lm")
    return unigram(folder / "new", (-0.3, -0.9, -0.5, -1.4)), unigram(folder / "old", (-0.7, -0.4, -1.1, -0.6))


sentences = st.builds(
    Sentence, st.lists(st.sampled_from(WORDS), max_size=5).map(tuple), st.floats(0, 50), st.floats(-300, 300)
)
lists = st.lists(st.lists(sentences, min_size=1, max_size=6), min_size=1, max_size=5).map(
    lambda found: {f"u{n}": one for n, one in enumerate(found)}
)
weights = st.builds(
    Weights,
    acoustic_scale=st.floats(0.01, 1),
    lm_scale=st.floats(0.1, 3),
    new_share=st.floats(0, 1),
    insertion_penalty=st.floats(-3, 3),
)


def cost(sentence: Sentence, with_weights: Weights, new: BackoffModel, old: BackoffModel) -> float:
    p_new, p_old = np.exp(new.log_prob(sentence.words)), np.exp(old.log_prob(sentence.words))
    lm = -np.log(with_weights.new_share * p_new + (1 - with_weights.new_share) * p_old).sum()
    rest = sentence.graph_cost + np.log(p_old).sum()
    words = with_weights.insertion_penalty * len(sentence.words)
    return float(with_weights.acoustic_scale * sentence.acoustic_cost + rest + with_weights.lm_scale * lm + words)


def chosen(candidates: Candidates, with_weights: Weights) -> np.ndarray:
    cheapest = [int(costs.argmin()) for _, costs in candidates.lists(with_weights).values()]
    return candidates.first_U + np.array(cheapest)


@settings(max_examples=50, deadline=None)
@given(found=lists, given_weights=weights)
def test_the_hypothesis_chosen_is_the_cheapest_by_hand(
    models: tuple[BackoffModel, BackoffModel], found: dict[str, list[Sentence]], given_weights: Weights
) -> None:
    candidates = Candidates(found, *models)
    places = chosen(candidates, given_weights)
    costs = candidates.lists(given_weights)
    for (utterance, own), first, place in zip(found.items(), candidates.first_U, places, strict=True):
        expected = [cost(sentence, given_weights, *models) for sentence in own]
        np.testing.assert_allclose(costs[utterance][1], expected, rtol=1e-9, atol=1e-6)
        assert costs[utterance][1][place - first] == pytest.approx(min(expected), abs=1e-6)
        assert candidates.words[place] in [sentence.words for sentence in own]


def test_the_old_model_alone_at_scale_1_gives_the_graphs_own_choice(
    models: tuple[BackoffModel, BackoffModel],
) -> None:
    rng = np.random.default_rng(1)
    found = {
        f"u{n}": [Sentence(tuple(rng.choice(WORDS, rng.integers(1, 6))), *rng.uniform(0, 30, 2)) for _ in range(8)]
        for n in range(20)
    }
    same = Weights(acoustic_scale=0.2, lm_scale=1.0, new_share=0.0, insertion_penalty=0.7)
    candidates = Candidates(found, *models)
    words = [candidates.words[place] for place in chosen(candidates, same)]

    def graphs_own(s: Sentence) -> float:
        return s.graph_cost + 0.2 * s.acoustic_cost + 0.7 * len(s.words)

    assert words == [min(own, key=graphs_own).words for own in found.values()]


GRID = RescoreOptions(
    lm_scales=(0.5, 1.0, 2.0), new_shares=(0.3, 1.0), acoustic_factors=(0.5, 1.0), penalties=(-1.0, 0.0, 2.0)
)


@settings(max_examples=20, deadline=None)
@given(found=lists, seed=st.integers(0, 999))
def test_no_point_of_the_grid_has_fewer_errors_together_with_its_neighbours(
    models: tuple[BackoffModel, BackoffModel], found: dict[str, list[Sentence]], seed: int
) -> None:
    candidates = Candidates(found, *models)
    errors_K = np.random.default_rng(seed).integers(0, 9, len(candidates.words))
    axes = [(0.05, 0.1), GRID.lm_scales, GRID.new_shares, GRID.penalties]

    def around(place: tuple[int, ...]) -> float:
        """The mean over the neighbours by hand, an edge counting twice."""
        errors = []
        for step in itertools.product((-1, 0, 1), repeat=4):
            near = [min(max(i + d, 0), len(axis) - 1) for i, d, axis in zip(place, step, axes, strict=True)]
            scale, lm_scale, share, penalty = (axis[i] for i, axis in zip(near, axes, strict=True))
            weights = Weights(acoustic_scale=scale, lm_scale=lm_scale, new_share=share, insertion_penalty=penalty)
            errors.append(errors_K[chosen(candidates, weights)].sum())
        return float(np.mean(errors))

    tuned = candidates.tune(errors_K, 0.1, GRID)
    values = (tuned.acoustic_scale, tuned.lm_scale, tuned.new_share, tuned.insertion_penalty)
    place = tuple(axis.index(value) for axis, value in zip(axes, values, strict=True))
    least = min(around(other) for other in itertools.product(*(range(len(axis)) for axis in axes)))
    assert around(place) == pytest.approx(least)


def test_without_the_old_model_the_new_one_is_added(models: tuple[BackoffModel, BackoffModel]) -> None:
    new = models[0]
    found = {"u": [Sentence(("A",), 1.0, 0.0), Sentence(("B",), 1.0, 0.0)]}
    candidates = Candidates(found, new, None)
    tuned = candidates.tune(np.array([1, 0]), 0.1, GRID)
    assert tuned.new_share == 1.0
    assert candidates.words[chosen(candidates, tuned)[0]] == ("B",)
    costs = candidates.lists(Weights(acoustic_scale=1, lm_scale=1.0, new_share=1.0, insertion_penalty=0.0))["u"][1]
    assert costs[0] - costs[1] == pytest.approx((0.9 - 0.5) * math.log(10))


@pytest.mark.parametrize(
    "wrong", [{"lm_scales": ()}, {"new_shares": (1.1,)}, {"acoustic_factors": (0.0,)}, {"penalties": ()}]
)
def test_impossible_grids_are_wrong_usage(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(UsageError):
        RescoreOptions(**wrong)


def test_a_word_is_as_sure_as_the_hypotheses_that_have_it_there() -> None:
    hypotheses = [("A", "B", "C"), ("A", "C"), ("B", "C")]
    costs = -np.log([0.5, 0.3, 0.2]) + 700
    assert word_confidences(("A", "B", "C"), hypotheses, costs) == pytest.approx([0.8, 0.7, 1.0])
    assert word_confidences(("A",), [("A",)], [3.0]) == [1.0]
    assert word_confidences((), hypotheses, costs) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(tuple), min_size=1, max_size=5, unique=True))
def test_confidences_are_probabilities_and_at_least_that_of_the_words_themselves(
    hypotheses: list[tuple[str, ...]],
) -> None:
    costs = np.arange(len(hypotheses)) / 2
    own = np.exp(-costs[0]) / np.exp(-costs).sum()
    sure = word_confidences(hypotheses[0], hypotheses, costs)
    assert len(sure) == len(hypotheses[0])
    assert all(own - 1e-9 <= value <= 1 for value in sure)
