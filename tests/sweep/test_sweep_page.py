"""The page and the pictures of a sweep: what they name, and that they show what was measured."""

from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.sweep.figures import Evaluated, sweep_results
from asr_kd.sweep.grid import Cell
from asr_kd.sweep.plots import plot_sweep
from asr_kd.sweep.report import render, verdict

U = 40


def made(
    temperatures: tuple[float, ...],
    widths: tuple[int, ...] = (8,),
    hard: tuple[float, ...] = (0.1,),
    num_seeds: int = 2,
) -> dict[str, Any]:
    """Wider is better, T = 2 is best and far from T = 4; T = 1 is a shade worse than 2."""
    rng = np.random.default_rng(1)
    level = {1.0: 0.59, 2.0: 0.6, 4.0: 0.3}
    evaluated = []
    for temperature, width, weight in product(temperatures, widths, hard):
        chance = level[temperature] + 0.01 * width - 0.1 * weight
        counts = [
            FrameCounts(
                num_frames=np.full(U, 50), num_correct=rng.binomial(50, chance, U), cross_entropy=np.full(U, 30.0)
            )
            for _ in range(num_seeds)
        ]
        cell = Cell(temperature=temperature, soft_weight=1.0, hard_weight=weight, hidden_dim=width)
        evaluated.append(Evaluated(cell=cell, seeds=tuple(range(num_seeds)), counts={"dev": counts, "test": counts}))
    about = {"recipe": "tones", "protocol": "", "metric": "accuracy"}
    return about | sweep_results(evaluated, num_samples=200, seed=1)


def test_the_page_names_the_best_cell_and_its_rivals_and_no_other() -> None:
    said = verdict(made((1.0, 2.0, 4.0)), "accuracy")
    best, _, rivals = said.partition("Within noise")
    assert {"temperature 1", "temperature 2"} == {f"temperature {t}" for t in (1, 2) if f"temperature {t}" in said}
    assert "**best on dev: temperature" in best
    assert "1 of 2 others" in rivals
    assert "temperature 4" not in said


def test_each_width_has_a_line_of_its_own() -> None:
    lines = verdict(made((2.0, 4.0), widths=(8, 16)), "errors").splitlines()
    assert [line.split(":")[0] for line in lines] == ["- **8 hidden units", "- **16 hidden units"]
    assert all("None of the 1 others is within noise" in line for line in lines)


def test_the_page_has_a_row_for_every_cell_and_every_figure_its_interval() -> None:
    results = made((1.0, 2.0, 4.0), widths=(8, 16), hard=(0.1, 0.5))
    page = render(results, "accuracy")
    table = page.split("## Every cell")[1].split("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 12
    assert all(row.count("[") >= 2 and row.count("±") == 2 for row in rows)
    assert page.startswith("# Sweep: tones\n")


def test_one_seed_is_said_to_say_little() -> None:
    assert "There is one seed" in render(made((1.0, 2.0), num_seeds=1), "accuracy")
    assert "There is one seed" not in render(made((1.0, 2.0)), "accuracy")


def test_errors_are_the_wrong_frames_and_their_interval_holds_them() -> None:
    results = made((2.0, 4.0))
    row = results["cells"][0]
    low, high = (40 * 50 * (1 - bound) for bound in reversed(row["test"]["frame_accuracy_ci"]))
    assert low <= row["test_errors"] <= high
    assert f"**{row['test_errors']:.1f}** [{low:.1f}, {high:.1f}]" in render(results, "errors")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"temperatures": (2.0,)}, []),
        ({"temperatures": (1.0, 2.0, 4.0)}, ["temperature.png"]),
        ({"temperatures": (1.0, 2.0), "widths": (8, 16)}, ["hidden_dim_x_temperature.png"]),
        (
            {"temperatures": (1.0, 2.0), "widths": (8, 16), "hard": (0.1, 0.5)},
            ["hard_weight_x_temperature.png", "hidden_dim_x_hard_weight.png", "hidden_dim_x_temperature.png"],
        ),
    ],
)
@pytest.mark.parametrize("metric", ["accuracy", "errors"])
def test_there_is_a_picture_for_each_pair_of_dimensions_that_vary(
    tmp_path: Path, arguments: dict[str, Any], names: list[str], metric: str
) -> None:
    plot_sweep(made(**arguments), metric, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        pixels = matplotlib.image.imread(tmp_path / name)[..., :3]
        assert min(pixels.shape[:2]) > 300
        assert (np.ptp(pixels, axis=(0, 1)) > 0.5).all()


def test_a_better_field_of_a_heat_map_is_darker(tmp_path: Path) -> None:
    (picture,) = plot_sweep(made((2.0, 4.0), hard=(0.1, 0.5)), "accuracy", tmp_path)
    pixels = matplotlib.image.imread(picture)[..., :3].mean(axis=2)
    left = pixels[:, : pixels.shape[1] // 2]
    rows = left[left.shape[0] // 4 : left.shape[0] // 2]
    columns = np.median(rows, axis=0)
    fields = columns[columns < 0.999]
    assert np.median(fields[: len(fields) // 3]) < np.median(fields[-len(fields) // 3 :])
