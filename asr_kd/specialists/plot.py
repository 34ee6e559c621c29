"""What specialists gain, by system and by how many of them cover the correct state, as a PNG chart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from asr_kd.score.origin import name_of

_GREY, _FAINT = "#8a8a8a", "#e4e4e4"
_COLOURS = {"dustbin": "#0072b2", "regularized": "#009e73"}
_OTHER = "#222222"
_DPI = 160


def plot_specialists(results: Mapping[str, Any], path: Path) -> None:
    """Gains over the generalist with their intervals: each system's, and the chosen fusion's by coverage."""
    rows = [row for row in results["systems"] if row["name"] != "generalist"]
    figure = Figure(figsize=(10.5, 1.6 + 0.42 * max(len(rows), len(results["coverage"]), 5)), layout="constrained")
    systems, coverage = figure.subplots(1, 2)
    for place, row in enumerate(rows):
        colour = _COLOURS.get(row["name"], _OTHER)
        _draw(systems, place, row["gain"], row["gain_ci"], colour)
    labels = [f"{row['name']}, n = {row['num_best']}" if row["num_best"] else row["name"] for row in rows]
    systems.set_yticks(range(len(rows)), labels)
    systems.set_xlabel("points of frame accuracy over the generalist   higher is better →")
    chosen = results["chosen_on_dev"]
    for place, row in enumerate(results["coverage"]):
        if row["relative_change"] is None:
            continue
        _draw(coverage, place, row["relative_change"], row["relative_change_ci"], _COLOURS.get(chosen["name"], _OTHER))
    counts = [f"{row['specialists']}  ({row['frames']:,} frames)" for row in results["coverage"]]
    coverage.set_yticks(range(len(counts)), counts)
    coverage.set_xlabel("relative change of frame accuracy, %")
    coverage.set_title(f"{chosen['name']}, n = {chosen['num_best']}:\nspecialists covering the state", fontsize=10)
    for axis in (systems, coverage):
        axis.axvline(0, color=_GREY, lw=0.8, zorder=0)
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", color=_FAINT, lw=0.7)
        axis.set_axisbelow(True)
    names = name_of(results)
    figure.suptitle(f"{names}: specialists, test set" if names else "Specialists, test set", fontsize=11, weight="bold")
    figure.supxlabel("bar: 95 % interval", fontsize=8, color=_GREY)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, format="png")


def _draw(axis: Axes, place: int, value: float, interval: tuple[float, float], colour: str) -> None:
    low, high = interval
    axis.plot([100 * low, 100 * high], [place, place], color=colour, lw=2.2, solid_capstyle="butt")
    axis.plot([100 * value], [place], "o", color=colour, ms=6)
