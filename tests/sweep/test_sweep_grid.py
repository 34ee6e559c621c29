"""The grid: every combination once, names that tell cells apart, and lists that make no sense refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import UsageError
from asr_kd.sweep.grid import Cell, GridOptions

weights = st.lists(st.floats(0.01, 10), min_size=1, max_size=3, unique=True).map(tuple)
temperatures = st.lists(st.floats(0.1, 1000), min_size=1, max_size=3, unique=True).map(tuple)
widths = st.lists(st.integers(1, 4096), max_size=3, unique=True).map(tuple)


@settings(max_examples=50)
@given(temperatures, weights, weights, widths)
def test_the_cells_are_all_combinations_and_each_has_a_name_of_its_own(
    temperatures: tuple[float, ...], soft: tuple[float, ...], hard: tuple[float, ...], widths: tuple[int, ...]
) -> None:
    grid = GridOptions(temperatures=temperatures, soft_weights=soft, hard_weights=hard, hidden_dims=widths)
    cells = grid.cells(7)
    assert len(cells) == len(temperatures) * len(soft) * len(hard) * max(len(widths), 1)
    assert len({cell.name for cell in cells}) == len(set(cells)) == len(cells)
    assert {cell.hidden_dim for cell in cells} == set(widths or (7,))


def test_a_list_that_grows_renames_no_cell() -> None:
    few, more = GridOptions(temperatures=(2.0,)), GridOptions(temperatures=(1.0, 2.0), hidden_dims=(8, 16))
    assert {cell.name for cell in few.cells(8)} < {cell.name for cell in more.cells(8)}


def test_a_name_is_made_of_the_values_as_they_are_written() -> None:
    cell = Cell(temperature=2.5, soft_weight=1.0, hard_weight=0.05, hidden_dim=30)
    assert cell.run_name(11) == "T2.5-soft1-hard0.05-dim30-seed11"


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"temperatures": ()}, "--temperatures needs one value or more"),
        ({"temperatures": (2.0, 0.0)}, "--temperatures must be above 0, got 0"),
        ({"temperatures": (float("nan"),)}, "--temperatures must be above 0, got nan"),
        ({"seeds": (1, 2, 1)}, "--seeds has 1 twice"),
        ({"hidden_dims": (0,)}, "--hidden-dims must be above 0"),
        ({"soft_weights": (-0.5,)}, "--soft-weights must not be negative, got -0.5"),
        ({"soft_weights": (0.0, 1.0), "hard_weights": (0.1, 0.0)}, "would learn from nothing"),
    ],
)
def test_lists_that_make_no_sense_are_refused(lists: dict[str, tuple[float, ...]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        GridOptions(**lists)  # type: ignore[arg-type]
