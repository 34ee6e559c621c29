"""Pieces of the decoding graph: disambiguation symbols where they are needed, self-loops where states are entered."""

import kaldifst
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.hmm.fst_arrays import to_arrays
from asr_kd.hmm.graph_pieces import add_self_loops, disambiguation, num_disambiguation, without_disambiguation
from asr_kd.lang.lexicon import Lexicon

pronunciation = st.lists(st.sampled_from("xy"), min_size=1, max_size=3).map(tuple)
entries = st.lists(st.tuples(st.sampled_from("ABC"), pronunciation), min_size=1, max_size=8, unique=True)


@settings(max_examples=50, deadline=None)
@given(entries)
def test_no_entry_is_the_same_as_or_the_beginning_of_another_once_marked(
    entries: list[tuple[str, tuple[str, ...]]],
) -> None:
    lexicon = Lexicon(tuple(entries))
    numbers = disambiguation(lexicon)
    marked = [(*phones, f"#{n}") if n else phones for (_, phones), n in zip(entries, numbers, strict=True)]
    for one in range(len(marked)):
        for other in range(len(marked)):
            assert one == other or marked[other][: len(marked[one])] != marked[one]
    assert num_disambiguation(lexicon) == max(numbers) + 2


def test_entries_that_need_no_symbol_have_none() -> None:
    assert disambiguation(Lexicon((("A", ("x", "y")), ("B", ("y",)), ("C", ("x", "x"))))) == [0, 0, 0]
    assert disambiguation(Lexicon((("A", ("x", "y")), ("B", ("x",)), ("C", ("x", "y"))))) == [1, 1, 2]


def takes(fst: object, labels: list[int]) -> bool:
    return kaldifst.compose(kaldifst.make_linear_acceptor(labels), fst).start >= 0


def test_each_label_repeats_as_often_as_it_likes_after_it_was_entered() -> None:
    # State 1 is entered with two labels and without any, state 2 with one.
    fst = kaldifst.compile("0 1 1 0\n0 1 2 0\n0 1 0 0\n1 2 3 0\n2\n")
    looped = kaldifst.StdVectorFst()
    arrays = add_self_loops(to_arrays(fst))
    for final in arrays.states["final"]:
        state = looped.add_state()
        if np.isfinite(final):
            looped.set_final(state, float(final))
    looped.start = arrays.start
    for source, arc in zip(arrays.sources, arrays.arcs, strict=True):
        looped.add_arc(
            int(source), kaldifst.StdArc(*(arc[field].item() for field in ("input", "output", "cost", "target")))
        )
    kaldifst.arcsort(looped, "ilabel")
    for labels in ([3], [1, 3], [1, 1, 1, 3, 3], [2, 2, 3], [3, 3, 3]):
        assert takes(looped, labels)
    for labels in ([1], [1, 2, 3], [2, 1, 3], [3, 1], [3, 1, 3], []):
        assert not takes(looped, labels)


def test_labels_above_the_pdfs_become_empty_and_nothing_else() -> None:
    arrays = without_disambiguation(to_arrays(kaldifst.compile("0 1 4 2\n1 2 5 3\n2 0 3 0\n2\n")), 4)
    assert [(arc["input"], arc["output"]) for arc in arrays.arcs] == [(4, 2), (0, 3), (3, 0)]
    assert list(arrays.states["input_epsilons"]) == [0, 1, 0]
