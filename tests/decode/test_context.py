"""States in context: graphs and alignments equal brute force over all phones between all their neighbours."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from brute_force import QUANTISED, chain_cost
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.decode.graph import DecodingGraph, build_graph
from asr_kd.decode.search import search
from asr_kd.hmm.forced_alignment import align_utterances
from asr_kd.hmm.fst_arrays import to_arrays
from asr_kd.hmm.states import Question, StateInventory, Tree
from asr_kd.lang.grammar import word_loop
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.symbols import word_symbols

PHONES = ("SIL", "x", "y", "z")
SILENCE_PROBABILITY = 0.3

pronunciation = st.lists(st.sampled_from(PHONES[1:]), min_size=1, max_size=3).map(tuple)
lexicons = st.lists(
    st.tuples(st.sampled_from(("A", "B", "C")), pronunciation), min_size=1, max_size=4, unique=True
).map(lambda entries: Lexicon(tuple(entries)))


@st.composite
def inventories(draw: st.DrawFn, num_states: int) -> StateInventory:
    """Trees of one or two questions; a phone's states share some leaves.

    No two phones do: words that differ in these alone would be one and the same to a graph over pdfs.
    """
    given_ids: dict[tuple[str, int], int] = {("SIL", 0): 0}

    def leaf(phone: str) -> int:
        return given_ids.setdefault((phone, draw(st.integers(0, 3))), len(given_ids))

    def question(yes: Tree, no: Tree) -> Question:
        phones = draw(st.frozensets(st.sampled_from(PHONES), min_size=1, max_size=3))
        return Question(draw(st.sampled_from(("left", "right"))), phones, yes, no)

    def state(phone: str) -> Tree:
        depth = draw(st.integers(0, 2))
        first: Tree = leaf(phone)
        for _ in range(depth):
            first = question(first, leaf(phone))
        return first

    phones: dict[str, tuple[Tree, ...]] = {"SIL": (0,)}
    for phone in PHONES[1:]:
        phones[phone] = tuple(state(phone) for _ in range(num_states))
    return StateInventory("SIL", phones)


def chains(words: Sequence[str], lexicon: Lexicon, inventory: StateInventory) -> Iterator[tuple[list[int], float]]:
    """Each chain of HMM states that a sentence can be, with the cost of its pauses."""
    for spoken in itertools.product(*(lexicon.pronunciations(word) for word in words)):
        for pauses in itertools.product((False, True), repeat=len(words) + 1):
            cost = -sum(math.log(SILENCE_PROBABILITY if pause else 1 - SILENCE_PROBABILITY) for pause in pauses)
            phones = ["SIL"] * pauses[0]
            for one, pause in zip(spoken, pauses[1:], strict=True):
                phones += [*one, *["SIL"] * pause]
            with_edges = ["SIL", *phones, "SIL"]
            triples = zip(with_edges, with_edges[1:], with_edges[2:], strict=False)
            yield [pdf for left, phone, right in triples for pdf in inventory.pdfs(phone, left, right)], cost


@settings(max_examples=40, deadline=None)
@given(st.data(), lexicons, st.integers(1, 2), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_best_words_cost_what_brute_force_says(
    data: st.DataObject, lexicon: Lexicon, num_states: int, num_frames: int, seed: int
) -> None:
    inventory = data.draw(inventories(num_states))
    scores_TP = np.random.default_rng(seed).normal(-3, 2, (num_frames, inventory.num_pdfs)).astype(np.float32)
    fst = build_graph(lexicon, inventory, word_loop(lexicon), silence_probability=SILENCE_PROBABILITY)
    graph = DecodingGraph(
        fst, to_arrays(fst), word_symbols(lexicon), inventory.num_pdfs, inventory.fingerprint, inventory.silence_pdfs
    )
    each_word = math.log(len(lexicon.words))
    sentences = [s for n in range(1, num_frames + 1) for s in itertools.product(lexicon.words, repeat=n)]
    costs = {
        s: min(chain_cost(chain, scores_TP) + cost for chain, cost in chains(s, lexicon, inventory))
        + len(s) * each_word
        for s in sentences
    }
    (found,) = search(graph, [("u", scores_TP)], acoustic_scale=1.0, beam=500.0, max_active=10**6)
    if min(costs.values()) == math.inf:
        assert not found.reached_final
        return
    assert found.reached_final
    assert found.cost == pytest.approx(min(costs.values()), abs=QUANTISED)
    assert costs[found.words] == pytest.approx(found.cost, abs=QUANTISED)


@settings(max_examples=60, deadline=None)
@given(st.data(), lexicons, st.integers(1, 2), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_the_alignment_is_the_best_of_all_chains(
    data: st.DataObject, lexicon: Lexicon, num_states: int, num_frames: int, seed: int
) -> None:
    inventory = data.draw(inventories(num_states))
    words = data.draw(st.lists(st.sampled_from(lexicon.words), min_size=1, max_size=3))
    scores_TP = np.random.default_rng(seed).normal(-3, 2, (num_frames, inventory.num_pdfs)).astype(np.float32)
    best = min(chain_cost(chain, scores_TP) for chain, _ in chains(words, lexicon, inventory))
    (found,) = align_utterances([("u", tuple(words), scores_TP)], lexicon, inventory)
    assert (found.pdfs is None) == (best == math.inf)
    if found.pdfs is not None:
        labelled = scores_TP.astype(np.float64)[np.arange(num_frames), found.pdfs]
        assert -float(labelled.sum()) == pytest.approx(best, abs=1e-4)
