"""Graphs as text: what OpenFst reads from the same lines."""

from pathlib import Path

import kaldifst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaldi_files import run
from test_kaldi_graph import ARCS, rows, write_graph

from asr_kd.cli import import_kaldi_graph
from asr_kd.errors import DecodeError
from asr_kd.hmm.fst_arrays import FstArrays, to_arrays
from asr_kd.kaldi.graph import read_fst
from asr_kd.kaldi.text_graph import read_text_fst

STATES = st.integers(0, 5)
LABELS = st.integers(0, 9)
COSTS = st.one_of(st.none(), st.floats(-100, 100, width=32), st.just(float("inf")))
LINES = st.one_of(st.tuples(STATES, STATES, LABELS, LABELS, COSTS), st.tuples(STATES, COSTS))


def line_of(fields: tuple[float | None, ...], space: str) -> str:
    return space.join("Infinity" if field == float("inf") else str(field) for field in fields if field is not None)


def states_of(text: str) -> list[int]:
    """The states in the order in which they appear."""
    named: list[int] = []
    for line in text.split("\n"):
        fields = line.split()
        named += map(int, fields[: 2 if len(fields) > 2 else 1])
    return list(dict.fromkeys(named))


def renumbered(fst: FstArrays, numbers: list[int]) -> list[list[tuple[float, ...]]]:
    """Arcs and ends with other numbers for the states."""
    arcs = [(numbers[source], *rest, numbers[target]) for source, *rest, target in rows(fst)]
    return [sorted(arcs), sorted((numbers[state], cost) for state, cost in enumerate(fst.states["final"].tolist()))]


@given(lines=st.lists(LINES, min_size=1, max_size=12), space=st.sampled_from([" ", "\t"]))
def test_the_transducer_is_what_openfst_makes_of_the_lines(
    lines: list[tuple[float | None, ...]], space: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "\n".join(line_of(fields, space) for fields in lines) + "\n"
    path = tmp_path_factory.mktemp("text") / "HCLG.fst"
    path.write_text(f"\n{text}\n")  # Kaldi's empty lines
    found, expected = read_text_fst(path), to_arrays(kaldifst.compile(text))
    appeared = states_of(text)
    # OpenFst numbers states as they appear.
    numbers = [appeared.index(state) for state in sorted(appeared)]
    assert renumbered(found, numbers) == renumbered(expected, list(range(len(appeared))))
    assert numbers[found.start] == expected.start == 0
    for field in ("input_epsilons", "output_epsilons"):
        assert found.states[field].sum() == expected.states[field].sum()


def test_a_graph_as_text_is_imported_as_the_binary_one(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "graph")
    run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "binary")
    (graph / "HCLG.fst").write_text(ARCS)
    run(import_kaldi_graph, graph, graph / "final.mdl", tmp_path / "text")
    binary, text = (read_fst(tmp_path / name / "HCLG.fst") for name in ("binary", "text"))
    assert rows(binary) == rows(text)
    np.testing.assert_array_equal(binary.states, text.states)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 1 8 2 0.5\n1 0 x 0\n", r"HCLG\.fst:2: neither"),
        ("0 1 8\n", ":1: neither"),
        ("0 1 8 2 0.5 7\n", ":1: neither"),
        ("0 1 AB AB 0.5\n", ":1: neither"),
        ("0 1 -1 2\n", ":1: neither"),
        ("0 1 8 2 nan\n", ":1: neither"),
        ("0 1 8 2 -Infinity\n", ":1: neither"),
        ("0 1 8 2 1_0\n", ":1: neither"),
        ("0 1 \u0668 2\n", ":1: neither"),
        ("0 1 8 2\n1\n0 1 8 d\u00fcrfen\n", r":3: neither .* without symbol tables"),
        ("0 1 99999999999 2\n", ":1: neither"),
        ("\n\n", "no state"),
    ],
)
def test_text_of_something_else_is_refused_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "HCLG.fst").write_text(text, encoding="utf-8")
    with pytest.raises(DecodeError, match=complaint):
        read_fst(tmp_path / "HCLG.fst")
