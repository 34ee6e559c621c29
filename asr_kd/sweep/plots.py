"""The grid as pictures: a heat map for each pair of dimensions that vary, a line plot where only one does."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from asr_kd.sweep.grid import SETS, show
from asr_kd.sweep.report import METRICS, SPOKEN, others_fixed, through_best, varying

_DPI = 160
_COLOURS = {"dev": "#8a8a8a", "test": "#0072b2"}
_GREY = "#555555"
_LETTERS_PER_INCH = 14  # of a caption
_DARKEST = 0.6  # of the colour map: the numbers in the fields must stay legible

Row = Mapping[str, Any]


def plot_sweep(results: Mapping[str, Any], metric: str, directory: Path) -> list[Path]:
    """Draw what there is to draw; returns the PNGs. A sweep of one cell has none."""
    names = varying(results)
    made = []
    if len(names) == 1:
        made.append(directory / f"{names[0]}.png")
        _save(_lines(results, names[0], metric), made[-1])
    for columns, rows in itertools.combinations(names, 2):
        made.append(directory / f"{rows}_x_{columns}.png")
        _save(_heat_maps(results, rows, columns, metric), made[-1])
    return made


def _heat_maps(results: Mapping[str, Any], rows: str, columns: str, metric: str) -> Figure:
    values = results["dimensions"]
    shape = len(values[rows]), len(values[columns])
    figure = Figure(figsize=(2 * (1.6 + 0.8 * shape[1]), 2.1 + 0.62 * shape[0]), layout="constrained")
    chosen = through_best(results, (rows, columns))
    for axis, of in zip(figure.subplots(1, 2, squeeze=False)[0], SETS, strict=True):
        axis.set_title(f"{of}: {METRICS[metric].label}", fontsize=10)
        axis.set_xlim(-0.5, shape[1] - 0.5)
        axis.set_ylim(shape[0] - 0.5, -0.5)
        axis.set_xticks(range(shape[1]), [show(value) for value in values[columns]])
        axis.set_yticks(range(shape[0]), [show(value) for value in values[rows]])
        axis.set_xlabel(SPOKEN[columns])
        axis.set_ylabel(SPOKEN[rows])
        axis.tick_params(length=0)
        for row in chosen:
            among = [other for other in chosen if other[rows] == row[rows]] if rows == "hidden_dim" else chosen
            place = values[columns].index(row[columns]), values[rows].index(row[rows])
            _draw_field(axis, place, row, "\n".join(METRICS[metric].texts(row[of])).strip(), _shade(row, among, of))
    caption = textwrap.fill(_caption(results, rows, columns), round(_LETTERS_PER_INCH * figure.get_figwidth()))
    figure.supxlabel(caption, fontsize=8, color=_GREY)
    return figure


def _shade(row: Row, among: Sequence[Row], of: str) -> float:
    """0 for the worst of a group of cells to 1 for its best."""
    found = [other[of]["frame_accuracy"] for other in among]
    low, high = min(found), max(found)
    return float((row[of]["frame_accuracy"] - low) / (high - low)) if high > low else 0.5


def _draw_field(axis: Axes, place: tuple[int, int], row: Row, text: str, shade: float) -> None:
    x, y = place
    colour = colormaps["Blues"](_DARKEST * shade)
    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", lw=1.5))
    if row["within_noise"]:
        style: dict[str, Any] = {"lw": 2.2, "ls": "-"} if row["best"] else {"lw": 1.1, "ls": (0, (3, 2))}
        axis.add_patch(Rectangle((x - 0.44, y - 0.42), 0.88, 0.84, fill=False, edgecolor="#222222", **style))
    axis.text(x, y, text, ha="center", va="center", fontsize=8, linespacing=1.3, color="#111111")


def _caption(results: Mapping[str, Any], rows: str, columns: str) -> str:
    parts = [others_fixed(results, (rows, columns))]
    if len(results["seeds"]) > 1:
        parts.append(f"mean over {len(results['seeds'])} seeds, ± their standard deviation")
    parts.append("darker is better" + (", within a width" if rows == "hidden_dim" else ""))
    of_width = " of its width" if len(results["dimensions"]["hidden_dim"]) > 1 else ""
    parts.append(f"frame: best{of_width} on dev; dashed: within noise of it")
    return " · ".join(filter(None, parts))


def _lines(results: Mapping[str, Any], name: str, metric: str) -> Figure:
    """One point a value, evenly spaced: temperatures lie too far apart for an axis of numbers."""
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axis = figure.subplots()
    chosen = sorted(results["cells"], key=lambda row: row[name])
    for shift, of in ((-0.06, "dev"), (0.06, "test")):
        places = np.arange(len(chosen)) + shift
        values = [METRICS[metric].value(row[of]) for row in chosen]
        bounds = np.array([METRICS[metric].interval(row[of], results["frames"][of]) for row in chosen])
        axis.plot(places, values, "-", color=_COLOURS[of], lw=1.2, alpha=0.6)
        axis.vlines(places, bounds[:, 0], bounds[:, 1], color=_COLOURS[of], lw=2.2)
        axis.plot(places, values, "o", color=_COLOURS[of], ms=6, label=of)
        for place, row in zip(places, chosen, strict=True):
            for run in row["runs"] if row["seeds"] > 1 else ():
                axis.plot([place + shift / 2], [METRICS[metric].of_run(run, of)], "_", color=_COLOURS[of], ms=6, mew=1)
    axis.set_xticks(range(len(chosen)), [show(row[name]) for row in chosen])
    axis.set_xlabel(SPOKEN[name])
    axis.set_ylabel(METRICS[metric].label)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#e4e4e4", lw=0.7)
    axis.set_axisbelow(True)
    axis.legend(frameon=False)
    figure.supxlabel("dot: mean over seeds · bar: 95 % interval · ticks: single seeds", fontsize=8, color=_GREY)
    return figure


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, format="png")
