"""Transducers go to numpy and back unchanged, and cycles without input are found."""

from pathlib import Path

import kaldifst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DecodeError
from asr_kd.hmm.fst_arrays import from_arrays, has_epsilon_cycle, read_arrays, to_arrays, write_arrays

arcs = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


def fst_of(arcs: list[tuple[int, int, int, int, int]]) -> kaldifst.StdVectorFst:
    fst = kaldifst.StdVectorFst()
    for _ in range(5):
        fst.add_state()
    fst.start = 1
    for source, target, input_label, output_label, cost in arcs:
        fst.add_arc(source, kaldifst.StdArc(input_label, output_label, cost / 2, target))
    fst.set_final(4, 0.25)
    return fst


@settings(max_examples=40, deadline=None)
@given(arcs)
def test_arrays_and_back_is_the_same_transducer(arcs: list[tuple[int, int, int, int, int]]) -> None:
    fst = fst_of(arcs)
    arrays = to_arrays(fst)
    again = from_arrays(arrays)
    assert again.start == 1
    assert again.to_str(show_weight_one=True) == kaldifst.StdConstFst(fst).to_str(show_weight_one=True)
    assert len(arrays.arcs) == len(arcs)
    assert sorted(arrays.sources) == sorted(source for source, *_ in arcs)
    assert [again.num_input_epsilons(s) for s in range(5)] == [fst.num_input_epsilons(s) for s in range(5)]


def reaches(targets: dict[int, set[int]], state: int) -> set[int]:
    seen: set[int] = set()
    waiting = [state]
    while waiting:
        for following in targets.get(waiting.pop(), set()) - seen:
            seen.add(following)
            waiting.append(following)
    return seen


@settings(max_examples=60, deadline=None)
@given(arcs)
def test_a_cycle_without_input_is_found_exactly_when_a_state_reaches_itself(
    arcs: list[tuple[int, int, int, int, int]],
) -> None:
    targets: dict[int, set[int]] = {}
    for source, target, input_label, _, _ in arcs:
        if input_label == 0:
            targets.setdefault(source, set()).add(target)
    cyclic = any(state in reaches(targets, state) for state in range(5))
    assert has_epsilon_cycle(to_arrays(fst_of(arcs))) == cyclic


def test_a_truncated_or_foreign_file_is_refused(tmp_path: Path) -> None:
    arrays = to_arrays(fst_of([(0, 1, 1, 1, 0), (1, 4, 2, 2, 1)]))
    whole, cut, foreign = tmp_path / "whole", tmp_path / "cut", tmp_path / "foreign"
    write_arrays(arrays, whole)
    np.testing.assert_array_equal(read_arrays(whole).arcs, arrays.arcs)
    cut.write_bytes(whole.read_bytes()[:-4])
    fst_of([(0, 1, 1, 1, 0)]).write(str(foreign))
    with pytest.raises(DecodeError, match="truncated"):
        read_arrays(cut)
    with pytest.raises(DecodeError, match="const format"):
        read_arrays(foreign)
    (tmp_path / "empty").touch()
    with pytest.raises(DecodeError, match="const format"):
        read_arrays(tmp_path / "empty")
