"""Forced alignment equals brute force over all paths, and says why where it cannot align."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DecodeError
from asr_kd.hmm import forced_alignment
from asr_kd.hmm.forced_alignment import align_utterances
from asr_kd.hmm.fst_arrays import to_arrays
from asr_kd.hmm.states import StateInventory, monophone_states
from asr_kd.hmm.utterance_graph import fewest_frames, utterance_graph
from asr_kd.lang.lexicon import Lexicon

LEXICON = Lexicon((("A", ("x",)), ("A", ("y", "x")), ("B", ("y",)), ("C", ("x", "x")), ("ALSO_B", ("y",))))


def states(num_states: int = 1, silence_states: int = 1) -> StateInventory:
    return monophone_states(LEXICON, "SIL", num_states, silence_states)


def all_labellings(words: Sequence[str], inventory: StateInventory, num_frames: int) -> Iterator[tuple[int, ...]]:
    """Every sequence of pdfs that the words can have, by enumeration."""
    silences = list(itertools.product([(), inventory.phones["SIL"]], repeat=len(words) + 1))
    for spoken in itertools.product(*(LEXICON.pronunciations(word) for word in words)):
        word_pdfs = [[pdf for phone in phones for pdf in inventory.phones[phone]] for phones in spoken]
        for pauses in silences:
            chain = [*pauses[0]]
            for pdfs, pause in zip(word_pdfs, pauses[1:], strict=True):
                chain += [*pdfs, *pause]
            if not 0 < len(chain) <= num_frames:
                continue
            for cuts in itertools.combinations(range(1, num_frames), len(chain) - 1):
                edges = (0, *cuts, num_frames)
                yield tuple(pdf for pdf, a, b in zip(chain, edges, edges[1:], strict=False) for _ in range(b - a))


def total_logp(words: Sequence[str], inventory: StateInventory, scores_TP: np.ndarray) -> float:
    """The forward algorithm over the utterance's graph."""
    graph = to_arrays(utterance_graph(words, LEXICON, inventory))
    alpha = np.full(len(graph.states), -np.inf)
    alpha[graph.start] = 0.0
    for frame in scores_TP.astype(np.float64):
        following = np.full_like(alpha, -np.inf)
        arriving = alpha[graph.sources] + frame[graph.arcs["input"] - 1] - graph.arcs["cost"]
        np.logaddexp.at(following, graph.arcs["target"], arriving)
        alpha = following
    return float(np.logaddexp.reduce(alpha - graph.states["final"]))


def score(labels: Sequence[int], scores_TP: np.ndarray) -> float:
    return float(scores_TP.astype(np.float64)[np.arange(len(labels)), list(labels)].sum())


utterances = st.tuples(
    st.lists(st.sampled_from(LEXICON.words), max_size=3),
    st.integers(1, 7),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(0, 2**32 - 1),
)


@settings(max_examples=60, deadline=None)
@given(utterances)
def test_the_alignment_is_the_best_of_all_paths_and_never_beats_their_sum(
    utterance: tuple[list[str], int, int, int, int],
) -> None:
    words, num_frames, num_states, silence_states, seed = utterance
    inventory = states(num_states, silence_states)
    scores_TP = np.random.default_rng(seed).normal(-4, 3, (num_frames, inventory.num_pdfs)).astype(np.float32)
    allowed = set(all_labellings(words, inventory, num_frames))
    (found,) = align_utterances([("u", tuple(words), scores_TP)], LEXICON, inventory)
    if not allowed:
        assert found.pdfs is None
        assert "too short" in found.reason
        return
    assert found.pdfs is not None, found.reason
    assert found.pdfs.dtype == np.int32
    assert tuple(found.pdfs) in allowed
    best = score(found.pdfs, scores_TP)
    assert best == pytest.approx(max(score(labels, scores_TP) for labels in allowed), abs=1e-4)
    assert best <= total_logp(words, inventory, scores_TP) + 1e-6


def test_every_pronunciation_and_every_pause_can_be_taken() -> None:
    inventory = states()
    for wanted in set(all_labellings(("A", "B"), inventory, 6)):
        scores_TP = np.full((6, inventory.num_pdfs), -10.0, dtype=np.float32)
        scores_TP[np.arange(6), wanted] = 0.0
        (found,) = align_utterances([("u", ("A", "B"), scores_TP)], LEXICON, inventory)
        assert found.pdfs is not None
        assert tuple(found.pdfs) == wanted


def test_without_words_all_is_silence() -> None:
    inventory = states(silence_states=2)
    (found,) = align_utterances([("u", (), np.zeros((3, inventory.num_pdfs), np.float32))], LEXICON, inventory)
    assert found.pdfs is not None
    assert found.pdfs[0] == 0
    assert found.pdfs[-1] == 1


@pytest.mark.parametrize(
    ("words", "scores_TP", "why"),
    [
        (("B", "B"), np.zeros((1, 3)), "too short: 1 frames, its words need 2"),
        (("B",), np.zeros((0, 3)), "too short: 0 frames"),
        (("B",), np.array([[0, 0, 0], [0, np.nan, 0]]), "not finite from frame 1"),
        (("B",), np.array([[0, -np.inf, 0], [0, 0, 0]]), "not finite from frame 0"),
        (("B",), np.zeros((4, 2)), "2 pdfs for a graph of 3"),
        (("B",), np.zeros((4, 4)), "4 pdfs for a graph of 3"),
        (("B",), np.zeros(4), "1 dimensions"),
        (("B", "NEW", "B", "OTHER"), np.zeros((9, 3)), "outside the lexicon: NEW OTHER"),
    ],
)
def test_what_cannot_be_aligned_says_why_and_the_rest_goes_on(
    words: tuple[str, ...], scores_TP: np.ndarray, why: str
) -> None:
    inventory = states()
    good = ("good", ("B",), np.zeros((2, 3), np.float32))
    found = list(align_utterances([good, ("bad", words, scores_TP.astype(np.float32)), good], LEXICON, inventory))
    assert [alignment.utt for alignment in found] == ["good", "bad", "good"]
    assert found[1].pdfs is None
    assert why in found[1].reason
    assert found[0].pdfs is not None
    assert found[2].pdfs is not None


def test_a_beam_that_is_too_narrow_is_widened_once_then_reported() -> None:
    inventory = states()
    # Silence is far better at first, but the word's one frame must come before the end: only a wide beam keeps it.
    scores_TP = np.zeros((8, 3), np.float32)
    scores_TP[:, 1:] = -30.0
    item = ("u", ("C", "C", "C"), scores_TP)
    (wide,) = align_utterances([item], LEXICON, inventory, beam=1000)
    (retried,) = align_utterances([item], LEXICON, inventory, beam=1, retry_beam=1000)
    (narrow,) = align_utterances([item], LEXICON, inventory, beam=1, retry_beam=2)
    assert wide.pdfs is not None
    assert retried.pdfs is not None
    assert score(retried.pdfs, scores_TP) == score(wide.pdfs, scores_TP)
    assert narrow.pdfs is None
    assert narrow.reason == "no path reaches the end within a beam of 2"


def test_a_path_that_stops_before_the_end_is_no_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forced_alignment, "fewest_frames", lambda *_: 0)
    inventory = states(num_states=2)
    (found,) = align_utterances([("u", ("C",), np.zeros((2, 5), np.float32))], LEXICON, inventory)
    assert found.pdfs is None
    assert "no path reaches the end" in found.reason


def test_acoustic_scale_and_workers_do_not_change_the_order_or_the_best_path() -> None:
    rng = np.random.default_rng(1)
    inventory = states(num_states=3, silence_states=5)
    items = [
        (f"u{n}", tuple(rng.choice(LEXICON.words, 3)), rng.normal(size=(60, inventory.num_pdfs)).astype(np.float32))
        for n in range(20)
    ]
    alone = list(align_utterances(items, LEXICON, inventory))
    for others in (
        align_utterances(items, LEXICON, inventory, acoustic_scale=0.5),
        align_utterances(items, LEXICON, inventory, nj=3),
    ):
        for ours, theirs in zip(alone, others, strict=True):
            assert ours.utt == theirs.utt
            np.testing.assert_array_equal(ours.pdfs, theirs.pdfs)


def test_the_callers_scores_are_left_as_they_are() -> None:
    scores_TP = np.ones((4, 3), np.float32)
    list(align_utterances([("u", ("B",), scores_TP)], LEXICON, states(), acoustic_scale=0.1))
    np.testing.assert_array_equal(scores_TP, 1)


def test_fewest_frames_is_the_shortest_labelling() -> None:
    inventory = states(num_states=2, silence_states=3)
    for words in ((), ("A",), ("C", "A"), ("A", "B", "C")):
        needed = fewest_frames(words, LEXICON, inventory)
        assert any(all_labellings(words, inventory, needed))
        assert not any(all_labellings(words, inventory, needed - 1))


def test_a_worker_that_fails_names_the_utterance(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(forced_alignment, "utterance_graph", fails)
    with pytest.raises((RuntimeError, DecodeError), match="utterance 'u'"):
        list(align_utterances([("u", ("B",), np.zeros((2, 3), np.float32))], LEXICON, states(), nj=2))
