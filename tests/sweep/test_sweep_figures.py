"""The figures of a sweep: means and spreads as defined, and noise that comes from utterances and from seeds."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.sweep.figures import Evaluated, sweep_results
from asr_kd.sweep.grid import Cell

U = 60
FRAMES_U = np.full(U, 20)


def counts(correct_U: np.ndarray) -> FrameCounts:
    return FrameCounts(num_frames=FRAMES_U, num_correct=correct_U, cross_entropy=0.1 * (FRAMES_U - correct_U))


def cell(temperature: float, hidden_dim: int = 8) -> Cell:
    return Cell(temperature=temperature, soft_weight=0.9, hard_weight=0.1, hidden_dim=hidden_dim)


def evaluated(where: Cell, correct_SU: Sequence[np.ndarray]) -> Evaluated:
    both = [counts(correct_U) for correct_U in correct_SU]
    return Evaluated(cell=where, seeds=tuple(range(len(both))), counts={"dev": both, "test": both})


def results(*cells: Evaluated) -> dict[float, dict]:
    made = sweep_results(cells, num_samples=1000, seed=1)
    return {row["temperature"]: row for row in made["cells"]}


@pytest.fixture
def draw() -> Callable[..., np.ndarray]:
    """Correct frames of each utterance, all with one probability."""
    rng = np.random.default_rng(3)
    return lambda probability: rng.binomial(20, probability, U)


def test_means_and_spreads_over_seeds_are_those_of_the_runs(draw: Callable[..., np.ndarray]) -> None:
    runs = [draw(0.5), draw(0.5), draw(0.6)]
    row = results(evaluated(cell(2), runs), evaluated(cell(3), [draw(0.1)] * 3))[2]
    accuracies = [run.sum() / FRAMES_U.sum() for run in runs]
    wrong = [FRAMES_U.sum() - run.sum() for run in runs]
    assert row["dev"]["frame_accuracy"] == pytest.approx(np.mean(accuracies))
    assert row["dev"]["frame_accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert row["test"]["errors"] == row["test_errors"] == pytest.approx(np.mean(wrong))
    assert row["test"]["errors_std"] == pytest.approx(np.std(wrong, ddof=1))
    assert row["dev"]["cross_entropy"] == pytest.approx(0.1 * np.mean(wrong) / FRAMES_U.sum())
    assert [run["test_errors"] for run in row["runs"]] == wrong


def test_a_single_seed_has_no_spread(draw: Callable[..., np.ndarray]) -> None:
    row = results(evaluated(cell(2), [draw(0.5)]))[2]
    assert row["dev"]["frame_accuracy_std"] is None and row["test"]["errors_std"] is None


def test_each_width_has_a_best_cell_of_its_own(draw: Callable[..., np.ndarray]) -> None:
    wide, narrow = draw(0.9), draw(0.4)
    made = sweep_results(
        [
            evaluated(cell(1, 8), [narrow]),
            evaluated(cell(2, 8), [np.maximum(narrow - 3, 0)]),
            evaluated(cell(1, 99), [np.maximum(wide - 3, 0)]),
            evaluated(cell(2, 99), [wide]),
        ],
        num_samples=200,
        seed=1,
    )
    assert [(row["temperature"], row["hidden_dim"]) for row in made["cells"] if row["best"]] == [(1, 8), (2, 99)]
    assert made["best"]["hidden_dim"] == 99 and made["best"]["temperature"] == 2
    assert [row["dev"]["below_best"] for row in made["cells"] if row["best"]] == [0, 0]


def test_utterances_that_all_say_the_same_leave_no_doubt(draw: Callable[..., np.ndarray]) -> None:
    good = np.clip(draw(0.5), 2, 18)
    rows = results(evaluated(cell(1), [good] * 2), evaluated(cell(2), [good - 1] * 2))
    assert rows[2]["dev"]["below_best_ci"] == pytest.approx([1 / 20, 1 / 20])
    assert not rows[2]["within_noise"]


def test_utterances_that_contradict_each_other_are_noise(draw: Callable[..., np.ndarray]) -> None:
    good = np.full(U, 10)
    other = good + np.where(np.arange(U) % 2, 5, -5) - (np.arange(U) == 0)
    rows = results(evaluated(cell(1), [good]), evaluated(cell(2), [other]))
    assert rows[1]["best"] and rows[2]["within_noise"]


def test_seeds_that_scatter_more_than_the_cells_differ_are_noise(draw: Callable[..., np.ndarray]) -> None:
    """Every utterance agrees about each run, so that only the seeds are left to doubt."""
    good = np.clip(draw(0.5), 5, 15)
    apart = [evaluated(cell(1), [good + 1, good + 1]), evaluated(cell(2), [good, good])]
    scattered = [evaluated(cell(1), [good + 3, good - 1]), evaluated(cell(2), [good + 2, good - 2])]
    assert not results(*apart)[2]["within_noise"]
    assert results(*scattered)[2]["dev"]["below_best"] == pytest.approx(1 / 20)
    assert results(*scattered)[2]["within_noise"]


def test_the_seeds_interval_is_students_t(draw: Callable[..., np.ndarray]) -> None:
    """With utterances in full agreement: quantile of t times s sqrt(2 / n), s pooled over the cells of the width."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    base = np.full(U, 10)
    cells = [evaluated(cell(t), [base + shift - t, base - shift - t]) for t, shift in ((1, 1), (2, 2), (3, 3))]
    made = sweep_results(cells, num_samples=100_000, seed=1)["cells"]
    deviations = np.array([[shift, -shift] for shift in (1, 2, 3)]) / 20
    pooled = np.sqrt((deviations**2).sum() / 3)
    half = stats.t.ppf(0.975, df=3) * pooled * np.sqrt(2 / 2)
    low, high = made[1]["dev"]["below_best_ci"]
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)
    assert (high + low) / 2 == pytest.approx(1 / 20, abs=0.05 * half)


@settings(max_examples=30)
@given(st.lists(st.floats(0.05, 0.95), min_size=1, max_size=5), st.integers(1, 3))
def test_no_cell_is_above_the_best_on_dev_and_the_best_is_within_noise_of_itself(
    levels: list[float], num_seeds: int
) -> None:
    rng = np.random.default_rng(len(levels))
    cells = [
        evaluated(cell(place + 1), [rng.binomial(20, level, U) for _ in range(num_seeds)])
        for place, level in enumerate(levels)
    ]
    rows = sweep_results(cells, num_samples=100, seed=1)["cells"]
    assert all(row["dev"]["below_best"] >= 0 for row in rows)
    assert [row["within_noise"] for row in rows if row["best"]] == [True]
