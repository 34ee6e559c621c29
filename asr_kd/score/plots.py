"""The table and the training curves as PNG charts."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from asr_kd.score.origin import name_of
from asr_kd.score.summary import gains
from asr_kd.score.systems import BASELINE, ENSEMBLE

_GREY, _BLACK = "#8a8a8a", "#222222"
_STUDENTS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_FAINT = "#e4e4e4"
_DPI = 160
_PANELS = (("frame_accuracy", "frame accuracy, %   higher is better →"), ("wer", "← lower is better   WER, %"))
_LEGEND = "dot: mean over seeds · bar: 95 % interval · ticks: single seeds · shaded: ensemble's gain"
_CURVES = (("frame_accuracy", 100, "frame accuracy, %"), ("cross_entropy", 1, "cross-entropy, nats a frame"))


def plot_table(results: Mapping[str, Any], path: Path) -> None:
    """Frame accuracy and WER of each system as points with intervals, the ensemble's gain shaded."""
    systems = list(results["systems"])
    figure = Figure(figsize=(9.5, 1.9 + 0.55 * len(systems)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    colours = system_colours([system["name"] for system in systems])
    for axis, (metric, label) in zip(axes, _PANELS, strict=True):
        _shade_gain(axis, systems, metric)
        for place, system in enumerate(systems):
            _draw_estimate(axis, place, system, metric, colours[system["name"]])
        axis.set_xlabel(label)
        axis.set_title(_headline(results, metric), fontsize=10)
        axis.margins(x=0.08)
        _tidy(axis, grid="x")
    axes[0].set_yticks(range(len(systems)), [_name(system) for system in systems])
    axes[0].set_ylim(len(systems) - 0.4, -0.75)
    figure.suptitle(", ".join(filter(None, (name_of(results), "test set"))), fontsize=12, weight="bold")
    figure.supxlabel(_LEGEND, fontsize=8, color=_GREY)
    _save(figure, path)


def plot_training(curves: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Dev (solid) and train (dashed) curves over epochs, a colour for members and for each kind of student."""
    figure = Figure(figsize=(9.5, 4.0), layout="constrained")
    axes = figure.subplots(1, 2)
    kinds = {name: _kind(name) for name in curves}
    colours = system_colours(list(dict.fromkeys(kinds.values())))
    for axis, (metric, scale, label) in zip(axes, _CURVES, strict=True):
        labelled: set[str] = set()
        for name, points in curves.items():
            kind = kinds[name]
            _draw_curve(axis, points, f"train_{metric}", scale, color=colours[kind], ls="--", lw=0.9, alpha=0.55)
            text = kind if kind not in labelled else None
            if _draw_curve(axis, points, f"dev_{metric}", scale, color=colours[kind], lw=1.2, label=text):
                labelled.add(kind)
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        _tidy(axis, grid="y")
        if labelled:
            axis.legend(frameon=False)
        else:
            axis.text(0.5, 0.5, "not recorded", transform=axis.transAxes, ha="center", color=_GREY)
    figure.suptitle("Training (solid or dot: dev, dashed or ring: train)", fontsize=11)
    _save(figure, path)


def system_colours(names: Sequence[str]) -> dict[str, str]:
    """Grey for the baseline and its members, black for the ensemble, a colour for each student."""
    students = [name for name in names if name not in (BASELINE, "members", ENSEMBLE)]
    colours = {name: _STUDENTS[place % len(_STUDENTS)] for place, name in enumerate(students)}
    return colours | {BASELINE: _GREY, "members": _GREY, ENSEMBLE: _BLACK}


def _headline(results: Mapping[str, Any], metric: str) -> str:
    """What the panel shows, for the first student: how much of the ensemble's gain it keeps."""
    for name, gain in gains(results).items():
        if gain[metric] is None:
            return "the ensemble's gain is not above noise" if results["ensemble_gain"] else ""
        return f"{name} keeps {100 * gain[metric]:.0f} % of the ensemble's gain"
    return ""


def _shade_gain(axis: Axes, systems: Sequence[Mapping[str, Any]], metric: str) -> None:
    values = {system["name"]: 100 * system[metric] for system in systems}
    if BASELINE in values and ENSEMBLE in values:
        axis.axvspan(*sorted((values[BASELINE], values[ENSEMBLE])), color=_FAINT, lw=0, zorder=0)


def _draw_estimate(axis: Axes, place: int, system: Mapping[str, Any], metric: str, colour: str) -> None:
    value = 100 * system[metric]
    low, high = (100 * bound for bound in system[f"{metric}_ci"])
    axis.plot([low, high], [place, place], color=colour, lw=2.2, solid_capstyle="butt")
    axis.plot([value], [place], "o", color=colour, ms=7)
    axis.annotate(
        f"{value:.2f}",
        (value, place),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        color=colour,
        weight="bold",
    )
    for run in system["runs"] if system["seeds"] > 1 else ():
        axis.plot([100 * run[metric]], [place + 0.2], "|", color=colour, ms=6, mew=1)


def _draw_curve(axis: Axes, points: Sequence[Mapping[str, float]], key: str, scale: int, **style: Any) -> bool:
    drawn = [(point["epoch"], scale * point[key]) for point in points if key in point and "epoch" in point]
    if drawn:
        # A single point makes no line: a dot, and a ring for what would be dashed.
        if len(drawn) == 1:
            style |= {"marker": "o", "ms": 5} | ({"mfc": "none"} if "ls" in style else {})
        axis.plot(*zip(*drawn, strict=True), **style)
    return bool(drawn)


def _kind(path: str) -> str:
    """The kind of network behind a path: all members are one, students go by their name without the seed."""
    parent, _, name = path.rpartition("/")
    return parent if parent == "members" else re.sub(r"[-_.]?\d+$", "", name) or parent


def _name(system: Mapping[str, Any]) -> str:
    params = system["params"]
    size = f"{params / 1e6:.2g} M" if params < 10e6 else f"{params / 1e6:.0f} M"
    return f"{system['name']}\n{size} parameters"


def _tidy(axis: Axes, *, grid: Literal["x", "y"]) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis=grid, color=_FAINT, lw=0.7)
    axis.set_axisbelow(True)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, format="png")
