"""HCLG: built, saved, loaded, and refused where the search would misread it."""

from pathlib import Path

import kaldifst
import numpy as np
import pytest

from asr_kd.decode.graph import DecodingGraph, build_graph, save_graph
from asr_kd.errors import DecodeError
from asr_kd.hmm.fst_arrays import FstArrays, to_arrays, write_arrays
from asr_kd.hmm.states import StateInventory, monophone_states
from asr_kd.lang.grammar import word_loop
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.symbols import word_symbols

LEXICON = Lexicon((("A", ("x", "y")), ("B", ("y",)), ("TOO", ("x", "y")), ("B", ("x",))))
INVENTORY = monophone_states(LEXICON, "SIL", 2, 3)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    save_graph(tmp_path, build_graph(LEXICON, INVENTORY, word_loop(LEXICON)), LEXICON, INVENTORY)
    return tmp_path


def test_a_saved_graph_is_loaded_with_what_identifies_its_states(directory: Path) -> None:
    graph = DecodingGraph.load(directory)
    assert graph.num_pdfs == INVENTORY.num_pdfs
    assert graph.states_fingerprint == INVENTORY.fingerprint
    assert graph.words == word_symbols(LEXICON)
    assert set(graph.arrays.arcs["input"]) == set(range(INVENTORY.num_pdfs + 1))
    assert {graph.words[label] for label in graph.arrays.arcs["output"]} == {"<eps>", "A", "B", "TOO"}


def test_a_state_is_entered_by_one_pdf_only_if_it_loops_and_then_by_the_loops(directory: Path) -> None:
    arrays = DecodingGraph.load(directory).arrays
    loops = arrays.sources == arrays.arcs["target"]
    assert (arrays.arcs["input"][loops] > 0).all()
    assert (arrays.arcs["output"][loops] == 0).all()
    looped = dict(zip(arrays.sources[loops], arrays.arcs["input"][loops], strict=True))
    assert len(looped) == np.count_nonzero(loops)
    for arc in arrays.arcs[arrays.arcs["input"] > 0]:
        assert looped[arc["target"]] == arc["input"]
    assert not set(looped) & set(arrays.arcs["target"][arrays.arcs["input"] == 0])


def changed(directory: Path, arrays: FstArrays) -> Path:
    # Written anew and moved, since the old file may still be mapped.
    write_arrays(arrays, directory / "new")
    (directory / "new").replace(directory / "HCLG.fst")
    return directory


@pytest.mark.parametrize(
    ("field", "label", "why"),
    [("input", INVENTORY.num_pdfs + 1, "an input label 8 for 7 pdfs"), ("output", 7, "an output label 7 for 7 words")],
)
def test_labels_out_of_range_are_refused(directory: Path, field: str, label: int, why: str) -> None:
    arrays = DecodingGraph.load(directory).arrays
    arcs = arrays.arcs.copy()
    arcs[field][0] = label
    with pytest.raises(DecodeError, match=why):
        DecodingGraph.load(changed(directory, FstArrays(arrays.start, arrays.states, arcs)))


def test_a_cycle_that_takes_no_frame_is_refused(directory: Path) -> None:
    loop = to_arrays(kaldifst.compile("0 1 1 0\n1 2 0 3 -1\n2 1 0 0 -1\n1 0\n"))
    with pytest.raises(DecodeError, match="the search would hang"):
        DecodingGraph.load(changed(directory, loop))


def test_an_empty_graph_is_refused(directory: Path) -> None:
    with pytest.raises(DecodeError, match="an empty graph"):
        DecodingGraph.load(changed(directory, to_arrays(kaldifst.StdVectorFst())))


@pytest.mark.parametrize("name", ["HCLG.fst", "words.txt", "graph.json"])
def test_a_missing_or_damaged_file_is_named(directory: Path, name: str) -> None:
    (directory / name).write_bytes(b"\x00x 1\n")
    with pytest.raises(DecodeError, match=str(directory)):
        DecodingGraph.load(directory)
    (directory / name).unlink()
    with pytest.raises(DecodeError, match=name):
        DecodingGraph.load(directory)


def test_a_grammar_without_a_sentence_is_an_error() -> None:
    with pytest.raises(DecodeError, match="share no sentence"):
        build_graph(LEXICON, INVENTORY, kaldifst.compile("0 1 9999 9999\n1\n"))


def test_the_penalty_is_on_word_arcs_only_and_the_graph_stays_as_it_is(directory: Path) -> None:
    graph = DecodingGraph.load(directory)
    assert graph.penalised(0.0) is graph.fst
    assert graph.penalised(1.5) is graph.penalised(1.5)
    before, after = graph.arrays.arcs, to_arrays(graph.penalised(1.5)).arcs
    np.testing.assert_allclose(after["cost"] - before["cost"], 1.5 * (before["output"] > 0), atol=1e-6)
    np.testing.assert_array_equal(to_arrays(graph.fst).arcs, before)


def test_states_without_an_id_of_their_own_can_be_shared() -> None:
    tied = StateInventory("SIL", {"SIL": (0,), "x": (1, 2), "y": (2, 1)})
    arrays = to_arrays(build_graph(LEXICON, tied, word_loop(LEXICON)))
    assert set(arrays.arcs["input"]) == {0, 1, 2, 3}


def test_a_determinization_that_gives_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kaldifst.determinize_star
    # It raises, or it leaves half a graph and returns True.
    for gives_up in (lambda fst, **given: whole(fst, max_states=3, **given), lambda *_, **__: True):
        monkeypatch.setattr(kaldifst, "determinize_star", gives_up)
        with pytest.raises(DecodeError, match="cannot be determinized"):
            build_graph(LEXICON, INVENTORY, word_loop(LEXICON))
