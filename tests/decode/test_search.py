"""The search finds what brute force finds, counts fewer words as the penalty grows, and survives bad scores."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import kaldifst
import numpy as np
import pytest
from brute_force import QUANTISED, chain_cost
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.decode import search as search_module
from asr_kd.decode.graph import DecodingGraph, build_graph, save_graph
from asr_kd.decode.search import Hypothesis, search, time_limit
from asr_kd.errors import DecodeError
from asr_kd.hmm.fst_arrays import to_arrays
from asr_kd.hmm.states import StateInventory, monophone_states
from asr_kd.lang.grammar import arpa_grammar, word_loop
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.symbols import word_symbols

PHONES = ("x", "y", "z")
SILENCE_PROBABILITY = 0.3
ARPA = """\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-99 <s> -0.3
-0.9 </s>
-0.5 A -0.2
-0.6 B -0.1

\\2-grams:
-0.2 <s> A
-0.4 A B
-1.9 B </s>

\\end\\
"""


def loaded(lexicon: Lexicon, inventory: StateInventory, fst: object) -> DecodingGraph:
    arrays = to_arrays(fst)
    return DecodingGraph(
        fst, arrays, word_symbols(lexicon), inventory.num_pdfs, inventory.fingerprint, inventory.silence_pdfs
    )


def loop_graph(lexicon: Lexicon, inventory: StateInventory, silence_probability: float = 0.5) -> DecodingGraph:
    fst = build_graph(lexicon, inventory, word_loop(lexicon), silence_probability=silence_probability)
    return loaded(lexicon, inventory, fst)


def chains(
    words: Sequence[str], lexicon: Lexicon, inventory: StateInventory, silence_probability: float
) -> Iterator[tuple[list[int], float]]:
    """Each chain of HMM states that a sentence can be, with the cost of its pauses."""
    for spoken in itertools.product(*(lexicon.pronunciations(word) for word in words)):
        for pauses in itertools.product((False, True), repeat=len(words) + 1):
            cost = -sum(math.log(silence_probability if pause else 1 - silence_probability) for pause in pauses)
            phones = ["SIL"] * pauses[0]
            for one, pause in zip(spoken, pauses[1:], strict=True):
                phones += [*one, *["SIL"] * pause]
            yield [pdf for phone in phones for pdf in inventory.phones[phone]], cost


def best_cost(
    words: Sequence[str], lexicon: Lexicon, inventory: StateInventory, scores_TP: np.ndarray, silence: float
) -> float:
    return min(
        (chain_cost(chain, scores_TP) + cost for chain, cost in chains(words, lexicon, inventory, silence)),
        default=math.inf,
    )


pronunciation = st.lists(st.sampled_from(PHONES), min_size=1, max_size=3).map(tuple)
lexicons = st.lists(
    st.tuples(st.sampled_from(("A", "B", "C")), pronunciation), min_size=1, max_size=5, unique=True
).map(lambda entries: Lexicon(tuple(entries)))


@settings(max_examples=30, deadline=None)
@given(lexicons, st.integers(1, 2), st.integers(1, 5), st.floats(-2, 2), st.integers(0, 2**32 - 1))
def test_the_best_words_of_a_loop_cost_what_brute_force_says(
    lexicon: Lexicon, num_states: int, num_frames: int, penalty: float, seed: int
) -> None:
    # Homophones, prefixes of one another and several pronunciations all come up in these lexicons.
    inventory = monophone_states(lexicon, "SIL", num_states, 1)
    scores_TP = np.random.default_rng(seed).normal(-3, 2, (num_frames, inventory.num_pdfs)).astype(np.float32)
    graph = loop_graph(lexicon, inventory, SILENCE_PROBABILITY)
    sentences = [s for n in range(1, num_frames + 1) for s in itertools.product(lexicon.words, repeat=n)]
    each_word = math.log(len(lexicon.words)) + penalty
    costs = {
        s: best_cost(s, lexicon, inventory, 0.7 * scores_TP, SILENCE_PROBABILITY) + len(s) * each_word
        for s in sentences
    }
    (found,) = search(
        graph, [("u", scores_TP)], acoustic_scale=0.7, insertion_penalty=penalty, beam=500.0, max_active=10**6
    )
    if min(costs.values()) == math.inf:
        assert not found.reached_final
        return
    assert found.reached_final
    assert found.cost == pytest.approx(min(costs.values()), abs=QUANTISED)
    assert costs[found.words] == pytest.approx(found.cost, abs=QUANTISED)


NGRAM_LEXICON = Lexicon((("A", ("x",)), ("B", ("x", "y")), ("B", ("x",)), ("C", ("z",))))
NGRAM_INVENTORY = monophone_states(NGRAM_LEXICON, "SIL", 1, 2)


@pytest.fixture(scope="module")
def ngram_graph(tmp_path_factory: pytest.TempPathFactory) -> DecodingGraph:
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    path.write_text(ARPA)
    grammar = arpa_grammar(path, NGRAM_LEXICON)
    return loaded(NGRAM_LEXICON, NGRAM_INVENTORY, build_graph(NGRAM_LEXICON, NGRAM_INVENTORY, grammar))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_with_an_ngram_model_the_best_words_cost_what_brute_force_says(
    ngram_graph: DecodingGraph, num_frames: int, seed: int
) -> None:
    lexicon, inventory = NGRAM_LEXICON, NGRAM_INVENTORY
    scores_TP = np.random.default_rng(seed).normal(-3, 2, (num_frames, inventory.num_pdfs)).astype(np.float32)
    bigram = {("<s>", "A"): -0.2, ("A", "B"): -0.4, ("B", "</s>"): -1.9}
    unigram, backoff = {"A": -0.5, "B": -0.6, "</s>": -0.9}, {"<s>": -0.3, "A": -0.2, "B": -0.1}

    def grammar_cost(words: tuple[str, ...]) -> float:
        # The graph may back off where a bigram is there and worse, as B </s> is: the best path counts.
        pairs = itertools.pairwise(("<s>", *words, "</s>"))
        logp = sum(max(bigram.get(pair, -99.0), backoff[pair[0]] + unigram[pair[1]]) for pair in pairs)
        return -logp * math.log(10)

    sentences = [s for n in range(num_frames + 1) for s in itertools.product("AB", repeat=n)]
    costs = {s: best_cost(s, lexicon, inventory, scores_TP, 0.5) + grammar_cost(s) for s in sentences}
    (found,) = search(ngram_graph, [("u", scores_TP)], acoustic_scale=1.0, beam=500.0, max_active=10**6)
    assert found.reached_final
    assert found.cost == pytest.approx(min(costs.values()), abs=QUANTISED)
    assert costs[found.words] == pytest.approx(found.cost, abs=QUANTISED)


LEXICON = Lexicon((("A", ("x",)), ("B", ("x", "y")), ("C", ("z",)), ("C", ("y", "z"))))
INVENTORY = monophone_states(LEXICON, "SIL", 2, 2)


@pytest.fixture(scope="module")
def graph() -> DecodingGraph:
    return loop_graph(LEXICON, INVENTORY)


def spoken(chain_words: str) -> np.ndarray:
    """Scores that leave no doubt: three frames a state."""
    chain, _ = next(chains(chain_words.split(), LEXICON, INVENTORY, 0.5))
    labels = np.repeat(chain, 3)
    scores_TP = np.full((len(labels), INVENTORY.num_pdfs), -20.0, np.float32)
    scores_TP[np.arange(len(labels)), labels] = 0.0
    return scores_TP


@pytest.mark.parametrize("nj", [1, 2])
def test_clear_speech_is_recognised_in_order(graph: DecodingGraph, nj: int) -> None:
    sentences = ["A", "C C", "B A C", "A A A", "C B"] * 4
    items = [(f"u{n}", spoken(sentence)) for n, sentence in enumerate(sentences)]
    found = list(search(graph, items, acoustic_scale=1.0, nj=nj))
    assert [hypothesis.utt for hypothesis in found] == [utt for utt, _ in items]
    assert [" ".join(hypothesis.words) for hypothesis in found] == sentences
    assert all(hypothesis.reached_final for hypothesis in found)


def test_homophones_are_told_apart_by_the_grammar_alone() -> None:
    lexicon = Lexicon((("TO", ("x", "y")), ("TWO", ("x", "y"))))
    inventory = monophone_states(lexicon, "SIL", 1, 1)
    words = word_symbols(lexicon)
    scores_TP = np.zeros((4, inventory.num_pdfs), np.float32)
    for cheap, dear in (("TO", "TWO"), ("TWO", "TO")):
        text = f"0 1 {words.id(cheap)} {words.id(cheap)} 1\n0 1 {words.id(dear)} {words.id(dear)} 2\n1\n"
        graph = loaded(lexicon, inventory, build_graph(lexicon, inventory, kaldifst.compile(text)))
        (found,) = search(graph, [("u", scores_TP)], acoustic_scale=1.0)
        assert found.words == (cheap,)


def test_a_greater_penalty_never_gives_more_words(graph: DecodingGraph) -> None:
    rng = np.random.default_rng(5)
    items = [(f"u{n}", rng.normal(-2, 2, (40, INVENTORY.num_pdfs)).astype(np.float32)) for n in range(8)]
    counts = []
    for penalty in (-6.0, -2.0, 0.0, 2.0, 6.0, 20.0):
        found = search(graph, items, acoustic_scale=1.0, insertion_penalty=penalty, beam=1000.0, max_active=10**6)
        counts.append([len(hypothesis.words) for hypothesis in found])
    for one_utterance in zip(*counts, strict=True):
        assert list(one_utterance) == sorted(one_utterance, reverse=True)
    assert sum(counts[0]) > sum(counts[-1])
    assert min(counts[-1]) >= 1


def test_a_small_scale_means_trusting_the_grammar_more(graph: DecodingGraph) -> None:
    scores_TP = np.random.default_rng(7).normal(-2, 2, (60, INVENTORY.num_pdfs)).astype(np.float32)
    counts = [
        len(next(search(graph, [("u", scores_TP)], acoustic_scale=scale, beam=1000.0)).words) for scale in (0.01, 3.0)
    ]
    assert counts[0] < counts[1]


def test_too_short_is_a_partial_result_and_the_rest_goes_on(graph: DecodingGraph) -> None:
    items = [("short", spoken("A")[:1]), ("empty", spoken("A")[:0]), ("good", spoken("A"))]
    short, empty, good = search(graph, items, acoustic_scale=1.0)
    assert not short.reached_final
    assert empty == Hypothesis("empty", (), False, math.inf)
    assert good.reached_final


def test_a_search_that_misses_the_end_is_repeated_with_a_wider_beam(
    graph: DecodingGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [("u", spoken("A B")[:-5])]  # ends within a word
    (wide,) = search(graph, items, acoustic_scale=1.0)
    monkeypatch.setattr(search_module, "_WIDER", 1)
    (narrow,) = search(graph, items, acoustic_scale=1.0, max_active=2)
    monkeypatch.setattr(search_module, "_WIDER", 1000)
    (repeated,) = search(graph, items, acoustic_scale=1.0, max_active=2)
    assert not narrow.reached_final
    assert wide.reached_final
    assert repeated == wide


@pytest.mark.parametrize("limits", [{"beam": 0.0}, {"max_active": 1}])
def test_limits_that_leave_nothing_to_search_are_refused(graph: DecodingGraph, limits: dict[str, float]) -> None:
    with pytest.raises(DecodeError, match="beam must be above 0"):
        list(search(graph, [("u", spoken("A"))], acoustic_scale=1.0, **limits))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "value", "why"), [(0, np.nan, "not finite from frame 2"), (1, -np.inf, "not finite from frame 2")]
)
def test_scores_that_are_not_finite_name_the_utterance(
    graph: DecodingGraph, column: int, value: float, why: str
) -> None:
    scores_TP = spoken("A")
    scores_TP[2, column] = value
    with pytest.raises(DecodeError, match=f"utterance 'bad': scores that are {why}"):
        list(search(graph, [("good", spoken("A")), ("bad", scores_TP)], acoustic_scale=1.0))


@pytest.mark.parametrize("columns", [INVENTORY.num_pdfs - 1, INVENTORY.num_pdfs + 1])
def test_scores_of_other_states_are_refused(graph: DecodingGraph, columns: int) -> None:
    with pytest.raises(DecodeError, match=f"utterance 'u': scores of {columns} pdfs for a graph of 8"):
        list(search(graph, [("u", np.zeros((9, columns), np.float32))], acoustic_scale=1.0))


def test_a_graph_that_hangs_the_decoder_is_stopped_and_named(graph: DecodingGraph) -> None:
    # Loading refuses such a graph; this one is put in by hand.
    loop = kaldifst.StdConstFst(kaldifst.compile("0 1 1 0\n1 2 0 3 -1\n2 1 0 0 -1\n1 0\n"))
    hanging = replace(graph, fst=loop, arrays=to_arrays(loop))
    with pytest.raises(DecodeError, match="utterance 'stuck': took more than"):
        list(search(hanging, [("stuck", spoken("A"))], acoustic_scale=1.0, timeout_s=0.1))


def test_an_utterance_of_half_a_minute_has_three_times_as_long(graph: DecodingGraph) -> None:
    assert [time_limit(60.0, ("u", np.zeros((frames, 1)))) for frames in (0, 1000, 3000)] == [60.0, 60.0, 180.0]


def test_a_graph_read_back_from_disk_recognises_the_same(tmp_path: Path, graph: DecodingGraph) -> None:
    save_graph(tmp_path, graph.fst, LEXICON, INVENTORY)
    items = [("u", np.random.default_rng(0).normal(size=(50, INVENTORY.num_pdfs)).astype(np.float32))]
    again = DecodingGraph.load(tmp_path)
    assert list(search(again, items, acoustic_scale=1.0)) == list(search(graph, items, acoustic_scale=1.0))
    penalised = list(search(again, items, acoustic_scale=1.0, insertion_penalty=3.0))
    assert penalised == list(search(graph, items, acoustic_scale=1.0, insertion_penalty=3.0))
