"""Train and test accuracy over updates, hard against soft targets, as a PNG chart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from asr_kd.score.origin import name_of
from asr_kd.score.plots import system_colours

_GREY, _FAINT = "#8a8a8a", "#e4e4e4"
_DPI = 160
_WATCHED = (("test", "-", 1.5), ("fitted", ":", 1.1))
_ROWS = (("frame_accuracy", 100, "frame accuracy, %"), ("cross_entropy", 1, "cross-entropy, nats a frame"))
_LEGEND = "solid: test set · dotted: the frames trained on · a line for each seed · grey: test, all the data"


def plot_regularizer(results: Mapping[str, Any], path: Path) -> None:
    """A panel for each share of the data. A run with early stopping is the beginning of one without: left out."""
    shares = [row for row in results["systems"] if row["fraction"] < 1]
    parts = [row for row in shares if row["name"] != results["hard"]] or shares
    fractions = sorted({row["fraction"] for row in parts})
    (whole,) = (row for row in results["systems"] if row["name"] == results["full"] and row["fraction"] == 1)
    colours = system_colours(list(dict.fromkeys(row["name"] for row in parts)))
    figure = Figure(figsize=(max(6.5, 3.6 * len(fractions)), 7.0), layout="constrained")
    panels = figure.subplots(len(_ROWS), len(fractions), sharex="col", sharey="row", squeeze=False)
    for of_row, (metric, scale, label) in zip(panels, _ROWS, strict=True):
        for axis, fraction in zip(of_row, fractions, strict=True):
            axis.axhline(scale * whole[metric], color=_GREY, lw=1.2)
            for row in parts:
                if row["fraction"] == fraction:
                    _draw(axis, row, metric, scale, colours[row["name"]])
            axis.set_xscale("log")  # what over-fits does so in the first passes
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(axis="y", color=_FAINT, lw=0.7)
        of_row[0].set_ylabel(label)
    for top, bottom, fraction in zip(panels[0], panels[-1], fractions, strict=True):
        top.set_title(f"{100 * fraction:g} % of the data", fontsize=10)
        bottom.set_xlabel("updates")
    panels[-1][0].legend(*panels[0][0].get_legend_handles_labels(), frameon=False, fontsize=8.5, loc="upper left")
    figure.suptitle(
        ": ".join(filter(None, (name_of(results), "what a part of the data brings"))), fontsize=11, weight="bold"
    )
    figure.supxlabel(_LEGEND, fontsize=8, color=_GREY)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, format="png")


def _draw(axis: Axes, row: Mapping[str, Any], metric: str, scale: int, colour: str) -> None:
    for number, curve in enumerate(row["curves"]):
        for watched, style, width in _WATCHED:
            key = f"{watched}_{metric}"
            points = [(point["updates"], scale * point[key]) for point in curve if key in point]
            if points:
                label = row["name"] if watched == "test" and number == 0 else None
                axis.plot(*zip(*points, strict=True), style, color=colour, lw=width, alpha=0.75, label=label)
