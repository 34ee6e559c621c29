"""The lists are those of brute force: every sentence with its cost, and no two alike."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_search import INVENTORY, LEXICON, QUANTISED, SILENCE_PROBABILITY, best_cost, lexicons, loop_graph, spoken

from asr_kd.decode.graph import DecodingGraph
from asr_kd.decode.lattice import ArcTable, LatticeSearch
from asr_kd.decode.nbest import NBest, Sentence, nbest_lists
from asr_kd.decode.nbest_file import read_nbest, write_nbest
from asr_kd.decode.search import search
from asr_kd.errors import DataError, DecodeError
from asr_kd.hmm.states import monophone_states
from asr_kd.lang.lexicon import Lexicon

ALL = {"num_best": 10**5, "beam": 1e6, "lattice_beam": 1e6, "max_active": 10**6}


def total_cost(sentence: Sentence, acoustic_scale: float, insertion_penalty: float) -> float:
    """What the search minimises."""
    return sentence.graph_cost + acoustic_scale * sentence.acoustic_cost + insertion_penalty * len(sentence.words)


@settings(max_examples=30, deadline=None)
@given(lexicons, st.integers(1, 2), st.integers(1, 5), st.floats(-2, 2), st.integers(0, 2**32 - 1))
def test_without_limits_the_list_is_every_sentence_with_the_cost_of_brute_force(
    lexicon: Lexicon, num_states: int, num_frames: int, penalty: float, seed: int
) -> None:
    inventory = monophone_states(lexicon, "SIL", num_states, 1)
    scores_TP = np.random.default_rng(seed).normal(-3, 2, (num_frames, inventory.num_pdfs)).astype(np.float32)
    graph = loop_graph(lexicon, inventory, SILENCE_PROBABILITY)
    each_word = math.log(len(lexicon.words)) + penalty
    costs = {
        words: best_cost(words, lexicon, inventory, 0.7 * scores_TP, SILENCE_PROBABILITY) + len(words) * each_word
        for n in range(1, num_frames + 1)
        for words in itertools.product(lexicon.words, repeat=n)
    }
    possible = {words: cost for words, cost in costs.items() if cost < math.inf}
    (found,) = nbest_lists(graph, [("u", scores_TP)], acoustic_scale=0.7, insertion_penalty=penalty, **ALL)
    assert found.reached_final == bool(possible)
    if possible:
        listed = [total_cost(sentence, 0.7, penalty) for sentence in found.sentences]
        assert listed == sorted(listed)
        assert {sentence.words for sentence in found.sentences} == set(possible)
        assert len(found.sentences) == len(possible)
        for sentence, cost in zip(found.sentences, listed, strict=True):
            assert cost == pytest.approx(possible[sentence.words], abs=QUANTISED)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 8), st.floats(0.5, 8))
def test_a_short_list_is_the_beginning_of_a_long_one(seed: int, num_frames: int, num_best: int, width: float) -> None:
    graph = loop_graph(LEXICON, INVENTORY)
    scores_TP = np.random.default_rng(seed).normal(-2, 2, (num_frames, INVENTORY.num_pdfs)).astype(np.float32)
    limits = {"acoustic_scale": 0.5, "beam": 1e6, "max_active": 10**6}
    (long,) = nbest_lists(graph, [("u", scores_TP)], num_best=300, lattice_beam=10.0, **limits)
    (short,) = nbest_lists(graph, [("u", scores_TP)], num_best=num_best, lattice_beam=width, **limits)
    costs = [total_cost(sentence, 0.5, 0.0) for sentence in long.sentences]
    expected = sum(cost <= costs[0] + width for cost in costs[:num_best])
    assert len(short.sentences) == pytest.approx(expected, abs=int(expected < num_best))  # at the very edge of the beam
    for one, other in zip(short.sentences, long.sentences, strict=False):
        assert total_cost(one, 0.5, 0.0) == pytest.approx(total_cost(other, 0.5, 0.0), abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3.0, 6.0, 12.0]), st.sampled_from([4, 20, 1000]))
def test_the_first_costs_what_the_search_for_one_finds_where_nothing_is_pruned(
    seed: int, penalty: float, max_active: int
) -> None:
    graph = loop_graph(LEXICON, INVENTORY)
    scores_TP = np.random.default_rng(seed).normal(-2, 2, (50, INVENTORY.num_pdfs)).astype(np.float32)
    limits = {"acoustic_scale": 0.3, "insertion_penalty": penalty, "beam": 1e6}
    (one,) = search(graph, [("u", scores_TP)], max_active=10**6, **limits)
    (found,) = nbest_lists(graph, [("u", scores_TP)], num_best=5, max_active=max_active, **limits)
    first = total_cost(found.sentences[0], 0.3, penalty)
    assert first >= one.cost - 1e-3  # nothing is better than the best
    if max_active == 1000:
        assert first == pytest.approx(one.cost, abs=1e-3)
        assert found.sentences[0].words == one.words


def test_graph_and_acoustic_cost_are_told_apart() -> None:
    graph = loop_graph(LEXICON, INVENTORY, SILENCE_PROBABILITY)
    scores_TP = spoken("A C B")
    (found,) = nbest_lists(graph, [("u", scores_TP)], num_best=50, acoustic_scale=0.25, insertion_penalty=3.0)
    best = found.sentences[0]
    assert best.words == ("A", "C", "B")
    assert best.acoustic_cost == pytest.approx(0.0, abs=1e-4)  # every frame scores 0 on its state
    silences = -4 * math.log(1 - SILENCE_PROBABILITY)
    assert best.graph_cost == pytest.approx(3 * math.log(len(LEXICON.words)) + silences, abs=QUANTISED)


@pytest.mark.parametrize("nj", [1, 2])
def test_utterances_come_in_order_and_bad_ones_do_not_stop_the_rest(nj: int) -> None:
    graph = loop_graph(LEXICON, INVENTORY)
    sentences = ["A", "C C", "B A C"] * 3
    items = [(f"u{n}", spoken(sentence)) for n, sentence in enumerate(sentences)]
    items[4:4] = [("short", spoken("A")[:1]), ("empty", spoken("A")[:0])]
    found = list(nbest_lists(graph, items, num_best=3, acoustic_scale=1.0, nj=nj))
    assert [one.utt for one in found] == [utt for utt, _ in items]
    by_id = {one.utt: one for one in found}
    assert [" ".join(by_id[f"u{n}"].sentences[0].words) for n in range(9)] == sentences
    assert not by_id["short"].reached_final
    assert by_id["empty"] == NBest("empty", (), False)


def test_no_more_states_stay_alive_than_asked_for() -> None:
    graph = loop_graph(LEXICON, INVENTORY)
    scores_TP = np.random.default_rng(2).normal(-2, 2, (30, INVENTORY.num_pdfs)).astype(np.float32)
    table = ArcTable(graph.arrays)
    wide = LatticeSearch(table, beam=1e6, max_active=10**6, lattice_beam=5.0)(scores_TP)
    narrow = LatticeSearch(table, beam=1e6, max_active=3, lattice_beam=5.0)(scores_TP)
    assert wide is not None
    assert narrow is not None
    assert max(len(np.unique(arcs.source)) for arcs in narrow.emitting) <= 3
    assert max(len(np.unique(arcs.source)) for arcs in wide.emitting) > 3


def test_every_arc_of_a_lattice_is_on_a_path_within_its_beam() -> None:
    graph = loop_graph(LEXICON, INVENTORY)
    scores_TP = np.random.default_rng(3).normal(-2, 2, (40, INVENTORY.num_pdfs)).astype(np.float32)
    lattice = LatticeSearch(ArcTable(graph.arrays), beam=50.0, max_active=1000, lattice_beam=4.0)(scores_TP)
    assert lattice is not None
    best = lattice.limit - 4.0
    for time, arcs in enumerate(lattice.emitting):
        through = lattice.forward[time][arcs.source] + arcs.cost + lattice.backward[time + 1][arcs.target]
        assert through.min() >= best - 1e-9
        assert through.max() <= lattice.limit + 1e-9


@pytest.mark.parametrize("limits", [{"beam": 0.0}, {"max_active": 1}, {"num_best": 0}, {"lattice_beam": 0.0}])
def test_limits_that_leave_nothing_are_refused(limits: dict[str, float]) -> None:
    graph: DecodingGraph = loop_graph(LEXICON, INVENTORY)
    with pytest.raises(DecodeError, match="n-best lists need"):
        list(nbest_lists(graph, [("u", spoken("A"))], **({"num_best": 5, "acoustic_scale": 1.0} | limits)))


def test_scores_that_are_not_finite_name_the_utterance() -> None:
    scores_TP = spoken("A")
    scores_TP[2, 1] = np.nan
    with pytest.raises(DecodeError, match="utterance 'bad': scores that are not finite from frame 2"):
        list(nbest_lists(loop_graph(LEXICON, INVENTORY), [("bad", scores_TP)], num_best=5, acoustic_scale=1.0))


LISTS = (
    NBest("u1", (Sentence(("A", "B"), 1.25, -3.5), Sentence((), 2.0, 0.125)), True),
    NBest("u2", (), False),
    NBest("u3", (Sentence(("Ä",), 0.5, 1e6),), False),
)


def test_lists_come_back_from_disk_and_the_file_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "nbest" / "dev.tsv.gz"
    assert write_nbest(path, LISTS) == 2
    content = path.read_bytes()
    assert read_nbest(path) == {one.utt: list(one.sentences) for one in LISTS if one.sentences}
    write_nbest(path, LISTS)
    assert path.read_bytes() == content


def test_lists_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv.gz"
    with pytest.raises(DataError, match="decode with --num-best"):
        read_nbest(path)
    write_nbest(path, LISTS)
    whole = path.read_bytes()
    for damaged in (b"utt words\n", whole[:-12], whole[:10] + b"\xff" * 20, b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=str(path)):
            read_nbest(path)
