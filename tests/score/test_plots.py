"""Charts are drawn whatever was measured, without global state."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib import _pylab_helpers

from asr_kd.score.plots import plot_table, plot_training, system_colours

from .test_results import score


def ink(path: Path) -> float:
    return float((matplotlib.image.imread(path)[..., :3] < 0.9).any(axis=-1).mean())


def test_the_table_becomes_a_picture(make_experiment: Callable[..., Path], tmp_path: Path) -> None:
    results = score(make_experiment("exp"))
    plot_table(results, tmp_path / "table.png")
    assert 0.02 < ink(tmp_path / "table.png") < 0.6
    assert not _pylab_helpers.Gcf.figs


def test_a_single_system_without_an_ensemble_is_drawn(make_experiment: Callable[..., Path], tmp_path: Path) -> None:
    results = score(make_experiment("exp"))
    only = results | {"systems": results["systems"][:1], "ensemble_gain": None}
    plot_table(only, tmp_path / "table.png")
    assert ink(tmp_path / "table.png") > 0.01


@pytest.mark.parametrize(
    "curves",
    [{}, {"members/1": [{"epoch": 1.0}]}, {"students/distilled-1": [{"epoch": 1.0, "dev_frame_accuracy": 0.5}]}],
)
def test_curves_with_missing_figures_are_drawn(tmp_path: Path, curves: dict[str, list[dict[str, float]]]) -> None:
    plot_training(curves, tmp_path / "training.png")
    assert matplotlib.image.imread(tmp_path / "training.png").shape[0] > 100


def test_a_curve_of_one_epoch_is_seen(tmp_path: Path) -> None:
    epoch = {"epoch": 1.0, "dev_frame_accuracy": 0.5, "dev_cross_entropy": 2.0}
    plot_training({"members/1": [epoch], "students/distilled-1": [epoch]}, tmp_path / "training.png")
    pixels = matplotlib.image.imread(tmp_path / "training.png")[..., :3]
    blue = np.abs(pixels - np.array([0, 0x72, 0xB2]) / 255).max(axis=-1) < 0.05
    rows, columns = np.nonzero(blue)
    assert len(rows) > 0
    heights = [np.ptp(rows[columns == column]) + 1 for column in np.unique(columns)]
    assert max(heights) > 5  # the legend's line is thinner


def test_students_differ_in_colour() -> None:
    colours = system_colours(["baseline", "ensemble", "distilled", "distilled_small"])
    assert len(np.unique(list({k: v for k, v in colours.items() if k != "members"}.values()))) == 4
