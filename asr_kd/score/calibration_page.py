"""The calibration of several systems as a page and as a reliability diagram."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from asr_kd.score.bootstrap import drawn_units
from asr_kd.score.markdown import table
from asr_kd.score.origin import titled
from asr_kd.score.plots import system_colours

_GREY, _FAINT = "#8a8a8a", "#e4e4e4"
_DPI = 160
_LEAST_SHARE = 1e-3  # of all frames: a point for fewer is noise

_READING = """\
- **confidence** is a frame's greatest posterior, **frame accuracy** how often it is that of the label. Frames are put
  in {bins} bins of equal width by their confidence; **ECE**, the expected calibration error, is the mean over frames of
  |accuracy - confidence| of the frame's bin (Naeini et al. 2015, Guo et al. 2017): 0 is perfect.
- **overconfidence** is mean confidence less accuracy: above 0 the posteriors promise too much, below 0 too little.
- **T** divides the logits before the softmax. An ensemble's posteriors are the mean of its members' at that T; soft
  targets are these.
- `[ , ]` are 95 % intervals by bootstrap over {units}, `±` the standard deviation over members or seeds.
  Labels are those of an alignment and wrong here and there: no model can be better calibrated than they are right.
"""


def render_calibration(results: Mapping[str, Any]) -> str:
    """A page of Markdown."""
    header = ("system", "T", "runs", "frame accuracy, %", "ECE, %", "overconfidence, points", "cross-entropy")
    rows = [
        (
            row["name"],
            f"{row['temperature']:g}",
            str(row["runs"]),
            f"{100 * row['frame_accuracy']:.2f}",
            _rate(row, "ece", ""),
            _rate(row, "overconfidence", "+"),
            f"{row['cross_entropy']:.3f}",
        )
        for row in results["systems"]
    ]
    parts = [
        f"# {titled('Calibration', results)}",
        "Written by `asr-kd calibration`.",
        table(header, rows),
        f"{results['labelled_frames']:,} labelled frames of {results['utterances']:,} utterances.",
        "![Accuracy against confidence](reliability.png)",
        "## How to read the figures",
        _READING.format(bins=results["num_bins"], units=drawn_units(results["bootstrap"])),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def plot_reliability(results: Mapping[str, Any], path: Path) -> None:
    """Accuracy against confidence, and below how many frames have it; a column for each temperature."""
    temperatures = list(dict.fromkeys(row["temperature"] for row in results["systems"]))
    figure = Figure(figsize=(1.6 + 4.2 * len(temperatures), 6.2), layout="constrained")
    axes = figure.subplots(2, len(temperatures), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1))
    colours = system_colours(list(dict.fromkeys(row["name"] for row in results["systems"])))
    for column, temperature in enumerate(temperatures):
        above, below = axes[:, column]
        rows = [row for row in results["systems"] if row["temperature"] == temperature]
        above.plot([0, 100], [0, 100], color=_GREY, lw=0.8)
        for row in rows:
            _draw(above, below, row, colours[row["name"]])
        above.set_title(f"T = {temperature:g}", fontsize=10)
        above.legend(frameon=False, fontsize=8.5, loc="upper left")
        below.set_xlabel("confidence, %")
        for axis in (above, below):
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(color=_FAINT, lw=0.7)
            axis.set_axisbelow(True)
    axes[0, 0].set_ylabel("frame accuracy, %")
    axes[1, 0].set_ylabel("frames, %")
    figure.supxlabel("below the line: overconfident · above it: underconfident", fontsize=8, color=_GREY)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, format="png")


def _draw(above: Axes, below: Axes, row: Mapping[str, Any], colour: str) -> None:
    bins_K3 = np.array(row["bins"])
    held = bins_K3[:, 0] > _LEAST_SHARE * bins_K3[:, 0].sum()
    frames, confidence, right = bins_K3[held].T
    label = f"{row['name']}: ECE {100 * row['ece']:.1f} %"
    above.plot(100 * confidence / frames, 100 * right / frames, "o-", color=colour, ms=3.5, lw=1.4, label=label)
    edges = np.linspace(0, 100, len(bins_K3) + 1)
    below.stairs(100 * bins_K3[:, 0] / bins_K3[:, 0].sum(), edges, color=colour, lw=1.2)


def _rate(row: Mapping[str, Any], figure: str, sign: str) -> str:
    ci: Sequence[float] = row[f"{figure}_ci"]
    text = f"{100 * row[figure]:{sign}.2f} [{100 * ci[0]:{sign}.2f}, {100 * ci[1]:{sign}.2f}]"
    spread = row[f"{figure}_std"]
    return text if spread is None else f"{text} ± {100 * spread:.2f}"
