"""``RESULTS.md`` of specialists: their figures as a page that says how to read them."""

from collections.abc import Mapping
from typing import Any

from asr_kd.score.bootstrap import drawn_units
from asr_kd.score.markdown import table
from asr_kd.score.origin import remade_by, titled

TRAINED_ON = "trained on"  # what the experiment calls a generalist trained on for as long as all specialists together

_READING = """\
- `[ , ]` are 95 % intervals: a bootstrap over {units}, the same resampled ones for both sides of a
  difference. The chance of training is not in them.
- **Networks**: how many run for every frame. The fusion's are the generalist and all specialists; only those asked in a
  frame need to run in it.
- **dustbin**: specialists as in section 5 of the paper, over their states and one class for all others.
  **regularized**: as in section 6.1, over all states, with the generalist's soft targets for frames outside.
- **n**: a specialist is asked where its states meet the generalist's n most probable ones.
  Kind and n were chosen on dev.
- By itself, a specialist is compared with the generalist over its states and the dustbin: the generalist's other states
  are summed.
"""

_PAPER = """\
Hinton, Vinyals & Dean (2015), tables 3 and 4 (JFT, 15,000 classes, 61 specialists of 300 classes): top-1 accuracy
25.0 % without and 26.1 % with specialists, +4.4 % relative. By the number of specialists that cover the correct class:
0: 0.0 %, 1: +3.4 %, 2: +7.4 %, 3: +8.8 %, 4: +10.5 %, 5: +11.1 %, 6: +11.3 %, 7: +12.8 %, 8: +13.6 %, 9: +16.6 %,
10 or more: +14.1 %.
"""


def render_specialists(results: Mapping[str, Any]) -> str:
    """One page of Markdown from the dictionary of `asr_kd.specialists.results.build_results`."""
    parts = [
        f"# {titled('Specialists', results)}",
        f"Written by `asr-kd specialist-report` from the models themselves. {remade_by(results)}",
        f"{results['test']['labelled_frames']:,} labelled frames of {results['test']['utterances']:,} test utterances, "
        f"{results['num_pdfs']} states. `gain.png` draws the first two tables.",
        _verdict(results),
        _made_of(results),
        *("## Systems", _systems(results)),
        *("## By the number of specialists that cover the correct state", _coverage(results)),
        *("## Each specialist", _specialists(results)),
        *("## How to read the figures", _READING.format(units=drawn_units(results["bootstrap"]))),
        *("## The paper's tables, for orientation", _PAPER),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def chosen_row(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of the fusion that was chosen on dev."""
    chosen = results["chosen_on_dev"]
    return next(
        row for row in results["systems"] if (row["name"], row["num_best"]) == (chosen["name"], chosen["num_best"])
    )


def verdict(row: Mapping[str, Any]) -> str:
    """Whether a gain is above noise, in words."""
    low, high = row["gain_ci"]
    return "a gain" if low > 0 else "a loss" if high < 0 else "no difference above noise"


def _verdict(results: Mapping[str, Any]) -> str:
    row = chosen_row(results)
    said = (
        f"Chosen on dev: {row['name']} specialists, n = {row['num_best']}. On test: **{verdict(row)}** over the "
        f"generalist, {_points(row['gain'])} points of frame accuracy {_points_ci(row['gain_ci'])}."
    )
    control = next((other for other in results["systems"] if other["name"] == TRAINED_ON), None)
    if control is None:
        return said
    over = {"gain_ci": control["chosen_over_it_ci"]}
    return (
        f"{said} Over the generalist trained on for as long: **{verdict(over)}**, {_points(control['chosen_over_it'])} "
        f"points {_points_ci(control['chosen_over_it_ci'])}."
    )


def _made_of(results: Mapping[str, Any]) -> str:
    """What was clustered, and which fusion was distilled, where the report was told."""
    said = []
    if (clusters := results["clusters"]) is not None:
        paper = "the paper's" if clusters["matrix"] == "covariance" else "the paper: of their covariance"
        said.append(
            f"Clusters of the {clusters['matrix']} of the generalist's predictions at T = "
            f"{clusters['temperature']:g} ({paper})."
        )
    if (distilled := results["distilled"]) is not None:
        said.append(f"The students learnt from {distilled['name']} specialists, n = {distilled['num_best']}.")
    return " ".join(said)


def _systems(results: Mapping[str, Any]) -> str:
    header = (
        "system",
        "n",
        "networks",
        "runs",
        "dev, %",
        "test, %",
        "over the generalist, points",
        "chosen fusion over it",
        "nats",
    )
    rows = []
    for row in results["systems"]:
        spread = f" ± {100 * row['frame_accuracy_std']:.2f}" if row["frame_accuracy_std"] is not None else ""
        gain = f"{_points(row['gain'])} {_points_ci(row['gain_ci'])}" if row["name"] != "generalist" else ""
        chosen = (row["name"], row["num_best"]) == tuple(results["chosen_on_dev"].values())
        behind = "" if chosen else f"{_points(row['chosen_over_it'])} {_points_ci(row['chosen_over_it_ci'])}"
        name = f"generalist + {row['name']} specialists" if row["num_best"] else row["name"]
        rows.append(
            (
                name,
                str(row["num_best"] or ""),
                str(row["models"]),
                str(row["runs"]),
                f"{100 * row['dev_frame_accuracy']:.2f}",
                f"{100 * row['frame_accuracy']:.2f}{spread}",
                gain,
                behind,
                f"{row['cross_entropy']:.4f}",
            )
        )
    return table(header, rows)


def _coverage(results: Mapping[str, Any]) -> str:
    header = ("specialists", "states", "test frames", "generalist, %", "fused, %", "relative change, %")
    rows = [
        (
            str(row["specialists"]),
            str(row["states"]),
            f"{row['frames']:,}",
            f"{100 * row['generalist']:.2f}",
            f"{100 * row['fused']:.2f}",
            "-"
            if row["relative_change"] is None
            else f"{_points(row['relative_change'])} {_points_ci(row['relative_change_ci'])}",
        )
        for row in results["coverage"]
    ]
    return table(header, rows)


def _specialists(results: Mapping[str, Any]) -> str:
    header = (
        "specialist",
        "states",
        "frames, %",
        "generalist, % in its states",
        "fused, %",
        "gain, points",
        "by itself, % in its states: train",
        "test",
        "by itself, nats: train",
        "test",
    )
    rows = []
    for row in results["specialists"]:
        rows.append(
            (
                f"{row['kind']} {row['path'].rpartition('/')[2]}",
                str(row["states"]),
                f"{100 * row['share_of_frames']:.1f}",
                *_gain(row),
                *(_change(row.get(part), "accuracy_inside", 100, 1) for part in ("train", "test")),
                *(_change(row.get(part), "cross_entropy", 1, 4) for part in ("train", "test")),
            )
        )
    return table(header, rows)


def _gain(row: Mapping[str, Any]) -> tuple[str, str, str]:
    before, fused = row["generalist"], row["fused"]
    if before is None:  # not one test frame is of its states
        return "-", "-", "-"
    return f"{100 * before:.2f}", f"{100 * fused:.2f}", f"{_points(fused - before)} {_points_ci(row['gain_ci'])}"


def _change(part: Mapping[str, float | None] | None, key: str, scale: int, digits: int) -> str:
    if part is None:
        return ""
    before, after = part[f"{key}_before"], part[f"{key}_after"]
    if before is None or after is None:
        return "-"
    return f"{scale * before:.{digits}f} → {scale * after:.{digits}f}"


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"


def _points_ci(interval: tuple[float, float]) -> str:
    return f"[{_points(interval[0])}, {_points(interval[1])}]"
