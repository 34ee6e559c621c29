"""Kaldi's HCLG.fst becomes a graph over pdfs with its costs kept."""

import struct
from pathlib import Path

import kaldifst
import numpy as np
import pytest
from kaldi_files import GMM_AFTER_IT, PDF_OF_TRIPLES, TRIPLES, run

from asr_kd.cli import import_kaldi_graph
from asr_kd.decode.graph import DecodingGraph
from asr_kd.errors import DecodeError, LexiconError, MismatchError
from asr_kd.hmm.fst_arrays import FstArrays, to_arrays
from asr_kd.kaldi.graph import read_fst, read_words, with_pdf_labels
from asr_kd.kaldi.transition_model import read_transition_model

WORDS = "<eps> 0\n!SIL 1\nAB 2\nCD 3\n#0 4\n<s> 5\n</s> 6\n"
# Lines of OpenFst: source, target, transition id, word, cost.
ARCS = "0 1 8 2 0.5\n1 1 9 0 0.25\n1 0 10 0 0.75\n0 2 1 1 1.5\n2 2 2 0 0.125\n2 3 6 3 0.5\n0 3 0 0 2\n3 0.75\n"


def write_graph(directory: Path, arcs: str = ARCS, *, const: bool = True) -> Path:
    directory.mkdir(exist_ok=True)
    fst = kaldifst.compile(arcs)
    assert (kaldifst.StdConstFst(fst) if const else fst).write(str(directory / "HCLG.fst"))
    (directory / "words.txt").write_text(WORDS)
    (directory / "num_pdfs").write_text("6\n")
    (directory / "final.mdl").write_bytes(TRIPLES.binary() + GMM_AFTER_IT)
    return directory


def rows(fst: FstArrays) -> list[tuple[int, ...]]:
    return sorted(zip(fst.sources.tolist(), *(fst.arcs[name].tolist() for name in fst.arcs.dtype.names), strict=True))


@pytest.mark.parametrize("const", [False, True], ids=["vector", "const"])
def test_transition_ids_become_pdfs_and_nothing_else_changes(tmp_path: Path, const: bool) -> None:
    graph = write_graph(tmp_path / "graph", const=const)
    run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "made")
    made = DecodingGraph.load(tmp_path / "made")
    before = to_arrays(kaldifst.compile(ARCS))
    expected = [(source, PDF_OF_TRIPLES[label] + 1 if label else 0, *rest) for source, label, *rest in rows(before)]
    assert rows(made.arrays) == sorted(expected)
    assert made.arrays.states["final"].tolist() == before.states["final"].tolist()
    assert made.arrays.states["input_epsilons"].tolist() == before.states["input_epsilons"].tolist()
    assert made.words.symbols == tuple(line.split()[0] for line in WORDS.splitlines())
    model = read_transition_model(graph / "final.mdl")
    assert (made.num_pdfs, made.states_fingerprint) == (6, model.fingerprint)


def test_silent_words_are_passed_through_without_being_put_out(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "graph")
    run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "made", "--silent-words", "!SIL")
    arrays = DecodingGraph.load(tmp_path / "made").arrays
    assert sorted(set(arrays.arcs["output"].tolist())) == [0, 2, 3]
    empty = np.bincount(arrays.sources[arrays.arcs["output"] == 0], minlength=len(arrays.states))
    assert arrays.states["output_epsilons"].tolist() == empty.tolist()
    with pytest.raises(LexiconError, match="'!NOISE': the graph has no such word"):
        run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "other", "--silent-words", "!NOISE")


def test_what_is_silence_stands_beside_the_graph(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    graph = write_graph(tmp_path / "graph")
    run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "unknown")
    assert "will not know a pause" in caplog.text
    assert DecodingGraph.load(tmp_path / "unknown").silence_pdfs == frozenset()
    (graph / "phones").mkdir()
    (graph / "phones/silence.csl").write_text("1:3\n")
    run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "made")
    assert DecodingGraph.load(tmp_path / "made").silence_pdfs == {0, 1, 2, 5, 4}
    (graph / "phones/silence.csl").write_text("1:SIL\n")
    with pytest.raises(LexiconError, match=r"silence\.csl: expected numbers of phones such as 1:2:3, found '1:SIL'"):
        run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "wrong")


def test_symbols_within_the_file_do_no_harm(tmp_path: Path) -> None:
    table = kaldifst.SymbolTable.from_str(WORDS)
    for const in (False, True):
        fst = kaldifst.compile(ARCS)
        fst.output_symbols = table
        (kaldifst.StdConstFst(fst) if const else fst).write(str(tmp_path / "HCLG.fst"))
        assert b"!SIL" in (tmp_path / "HCLG.fst").read_bytes()
        assert rows(read_fst(tmp_path / "HCLG.fst")) == rows(to_arrays(kaldifst.compile(ARCS)))


def test_a_file_of_the_aligned_form_is_read(tmp_path: Path) -> None:
    """OpenFst's first const format: states and arcs begin at multiples of 16 bytes."""
    fst = to_arrays(kaldifst.compile(ARCS))
    numbers = struct.pack("<iiqqqq", 1, 4, 1, fst.start, len(fst.states), len(fst.arcs))
    content = struct.pack("<ii5si8s", 2125659606, 5, b"const", 8, b"standard") + numbers
    for part in (fst.states, fst.arcs):
        content += bytes(-len(content) % 16) + part.tobytes()
    (tmp_path / "HCLG.fst").write_bytes(content)
    assert rows(read_fst(tmp_path / "HCLG.fst")) == rows(fst)


def test_a_graph_of_another_model_or_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="has the transition id 99, the model 15"):
        fst = to_arrays(kaldifst.compile("0 1 99 1 0\n1 0\n"))
        with_pdf_labels(fst, np.array(PDF_OF_TRIPLES), path=Path("HCLG.fst"))
    graph = write_graph(tmp_path / "graph")
    (graph / "num_pdfs").write_text("7\n")
    with pytest.raises(MismatchError, match=r"num_pdfs says 7, .* has 6 pdfs"):
        run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "made")
    content = (graph / "HCLG.fst").read_bytes()
    lookahead = content.replace(b"\x05\x00\x00\x00const", b"\x12\x00\x00\x00olabel_lookahead__")
    for wrong, complaint in [
        (b"no graph", r"HCLG\.fst:1: neither an OpenFst file nor its text: expected .*, found 'no graph'"),
        (b"", "no state"),
        (b"\xff\xfe\x00", r"HCLG\.fst:1: neither an OpenFst file nor its text"),
        (lookahead, "type 'olabel_lookahead__'"),
        (content[:-20], "OpenFst cannot read it"),
    ]:
        (graph / "HCLG.fst").write_bytes(wrong)
        with pytest.raises(DecodeError, match=complaint):
            read_fst(graph / "HCLG.fst")


def test_a_graph_that_would_hang_the_search_is_refused(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "graph", "0 1 8 2 0.5\n1 2 0 0 0\n2 1 0 0 0\n2 0\n")
    with pytest.raises(DecodeError, match="a cycle that takes no frame"):
        run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_words_are_numbered_without_gaps_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("B 1\n<eps> 0\nA\t2\n")
    assert read_words(tmp_path / "words.txt").symbols == ("<eps>", "B", "A")
    for content, complaint in [
        ("<eps> 0\nA 2\n", "gap below 2"),
        ("<eps> 0\nA B\n", "words.txt:2"),
        ("A 0\nB 0", ":2"),
    ]:
        (tmp_path / "words.txt").write_text(content)
        with pytest.raises(LexiconError, match=complaint):
            read_words(tmp_path / "words.txt")
