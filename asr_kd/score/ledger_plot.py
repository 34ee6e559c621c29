"""An ensemble's gain against its number of members, as a PNG chart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from asr_kd.score.origin import name_of
from asr_kd.score.plots import system_colours

_GREY, _BLACK, _FAINT = "#8a8a8a", "#222222", "#e4e4e4"
_DPI = 160
_MEANS = {"arithmetic": (_BLACK, "-", 0.07), "geometric": ("#7b3294", "--", -0.07)}
_PANELS = (
    ("frame_accuracy", 100, "frame accuracy: points over the mean member\n(higher is better)", "lower right"),
    ("cross_entropy", 1, "cross-entropy: nats a frame over the mean member\n(lower is better)", "upper right"),
)
_LEGEND = "line: mean over subsets of that size · band: 95 % interval · small dots: single subsets"


def plot_gain(results: Mapping[str, Any], path: Path) -> None:
    """Both means against the number of members, and each kind of student, all relative to the mean member.

    The gain sets the scale: a student too far outside of it is named in the legend only.
    """
    figure = Figure(figsize=(9.5, 4.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, (metric, scale, label, corner) in zip(axes, _PANELS, strict=True):
        for mean in _MEANS:
            _draw_mean(axis, results, mean, metric, scale)
        _draw_students(axis, results, metric, scale)
        axis.axhline(0, color=_GREY, lw=0.8, zorder=0)
        axis.set_title(label, fontsize=9.5)
        axis.set_xlabel("members of the ensemble")
        axis.set_xticks([row["members"] for row in results["gain"]][:: 1 + len(results["gain"]) // 16])
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color=_FAINT, lw=0.7)
        axis.set_axisbelow(True)
        legend = axis.legend(fontsize=8.5, loc=corner, framealpha=0.9, edgecolor="none")
        legend.set_zorder(5)
    names = name_of(results)
    figure.suptitle(f"{names}: {_headline(results)}" if names else _headline(results), fontsize=11, weight="bold")
    figure.supxlabel(_LEGEND, fontsize=8, color=_GREY)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, format="png")


def _headline(results: Mapping[str, Any]) -> str:
    gain = 100 * results["headroom"]["frame_accuracy_gain"]
    return f"{len(results['members'])} members, {gain:+.2f} points of frame accuracy"


def _draw_mean(axis: Axes, results: Mapping[str, Any], mean: str, metric: str, scale: int) -> None:
    colour, style, shift = _MEANS[mean]
    base = results["mean_member"][metric]
    sizes = [row["members"] for row in results["gain"]]
    rows = [row[mean] for row in results["gain"]]
    low, high = zip(*(row[f"{metric}_gain_ci"] for row in rows), strict=True)
    axis.fill_between(sizes, [scale * v for v in low], [scale * v for v in high], color=colour, alpha=0.15, lw=0)
    for size, row in zip(sizes, rows, strict=True):
        single = [scale * (value - base) for value in row[f"{metric}_of_subsets"]]
        axis.plot([size + shift] * len(single), single, ".", color=colour, ms=4, alpha=0.5, mew=0)
    values = [scale * row[f"{metric}_gain"] for row in rows]
    axis.plot(sizes, values, style, color=colour, lw=1.6, marker="o", ms=4.5, label=f"{mean} mean")


def _draw_students(axis: Axes, results: Mapping[str, Any], metric: str, scale: int) -> None:
    low, high = axis.get_ylim()
    margin = 0.15 * (high - low)
    colours = system_colours([row["name"] for row in results["students"]])
    for row in results["students"]:
        value = scale * (row[metric] - results["mean_member"][metric])
        text = f"{row['name']}  {value:+.2f}" if metric == "frame_accuracy" else f"{row['name']}  {value:+.3f}"
        style: dict[str, Any] = {"color": colours[row["name"]], "ls": "-.", "lw": 1.2, "zorder": 1}
        if low - margin <= value <= high + margin:
            axis.axhline(value, label=text, **style)
        else:
            axis.plot([], [], label=f"{text}, {'below' if value < low else 'above'}", **style)
