"""``RESULTS.md`` of `asr-kd regularizer-report`: the table in the form of the paper's table 5."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asr_kd.score.bootstrap import drawn_units
from asr_kd.score.markdown import table
from asr_kd.score.origin import remade_by, titled

MOST_LOOKS = 9
LEAST_FURTHER = 1.5  # shares are of utterances, so a few of them may have half as many frames as their number says

_READING = """\
- Train: accuracy on the very frames trained on, with the final weights and without dropout. Test: all labelled
  frames of the test set. `±` is the standard deviation over seeds; each seed draws other utterances, so it holds the
  chance of that draw, too. `[ , ]` are 95 % intervals: a bootstrap over {units}, the same ones for
  every row, and seeds (Student's t by the seeds of each row; of a difference by those of its pairs, so what a seed's
  draw does to two rows alike is no part of it). With few seeds t is large.
- Of full: test accuracy over that with all the data. Recovered: (row - hard) / (full - hard), of what the small data
  costs hard targets with early stopping. Over hard: the difference that this comes from, in points.
- Over-fitting shows in the last two columns: how far accuracy on the dev set fell from its highest, and its
  cross-entropy rose from its lowest, to the last look at it, mean over seeds.
- All the data: the recipe's members, with the dropout and batches of `train.conf`. The shares: as
  `regularizer_hard.conf` and `regularizer_soft.conf` say. So these rows differ in more than their data.
- Early stopping goes back to the weights of the highest dev accuracy, the other rows keep their last weights. The dev
  set decides nothing else, the test set nothing at all.
"""


def render_regularizer(results: Mapping[str, Any]) -> str:
    """One page of Markdown from the dictionary of `asr_kd.score.regularizer.regularizer_results`."""
    header = [
        "targets",
        "data",
        "frames",
        "updates",
        "seeds",
        "train, %",
        "test, %",
        "of full, %",
        "over hard",
        "recovered, %",
    ]
    header += ["cross-entropy", "dev accuracy falls by, points", "dev cross-entropy rises by, nats"]
    lines = [
        f"# {titled('Soft targets as regularisers', results)}",
        "",
        "Written by `asr-kd regularizer-report` from the runs themselves: frame accuracy on "
        f"{results['test_frames']:,} labelled test frames of {results['test_utterances']:,} utterances, "
        f"{results['num_pdfs']} pdfs. After table 5 of Hinton, Vinyals & Dean 2015, where 3 % of the data gave 67.3 % "
        "train and 44.5 % test accuracy with hard targets, 65.4 % and 57.0 % with soft ones, and all data 63.4 % and "
        f"58.9 %. {remade_by(results)}",
        "",
        table(header, [_cells(row) for row in results["systems"]]),
        "",
        *_headlines(results),
        *_further_sets(results),
        *_curves(results),
        "`curves.png`, beside this page where it was made, draws accuracy and cross-entropy against updates.",
        "",
        _READING.format(units=drawn_units(results["bootstrap"])),
    ]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    train = row["train_frame_accuracy"]
    spread = row["frame_accuracy_std"]
    return [
        row["name"],
        f"{100 * row['fraction']:g} %",
        f"{row['frames']:,}",
        f"{row['updates']:,}",
        str(row["seeds"]),
        "-" if train is None else f"{100 * train:.1f}",
        f"{_percent(row, 'frame_accuracy')}" + ("" if spread is None else f" ± {100 * spread:.1f}"),
        _percent(row, "share_of_full"),
        _percent(row, "over_hard"),
        _percent(row, "recovered"),
        f"{row['cross_entropy']:.2f}",
        f"{100 * row['dev_accuracy_fall']:.1f}",
        f"{row['dev_cross_entropy_rise']:.2f}",
    ]


def _headlines(results: Mapping[str, Any]) -> list[str]:
    """What the smallest share tells, in a sentence for each way to train."""
    parts = [row for row in results["systems"] if row["fraction"] < 1]
    lines: list[str] = []
    for fraction in sorted({row["fraction"] for row in parts}):
        told = [f"{row['name']} {_percent(row, 'share_of_full')} %" for row in parts if row["fraction"] == fraction]
        lines += [
            f"With {100 * fraction:g} % of the data, of the accuracy that all of it brings: {'; '.join(told)}.",
            "",
        ]
    return lines


def _further_sets(results: Mapping[str, Any]) -> list[str]:
    """A warning where the models on all the data learnt from sets that the shares are not of."""
    full = next(row for row in results["systems"] if row["fraction"] == 1 and row["name"] == results["full"])
    whole = max((row["frames"] / row["fraction"] for row in results["systems"] if row["fraction"] < 1), default=0.0)
    ratio = full["frames"] / whole if whole else 1.0
    if ratio < LEAST_FURTHER:
        return []
    return [
        f"The shares are of the first training set, but the models on all the data learnt from {ratio:.1f} times as "
        "many frames (other sets, such as the same speech at other speeds, count too): what is kept of their accuracy "
        "is kept of more than the shares say. Their accuracy on train is that on the first set.",
        "",
    ]


def _curves(results: Mapping[str, Any]) -> list[str]:
    """Accuracy and cross-entropy on the way, for each share of the data; mean over seeds."""
    lines: list[str] = []
    for fraction in sorted({row["fraction"] for row in results["systems"] if row["fraction"] < 1}):
        shares = [row for row in results["systems"] if row["fraction"] == fraction]
        rows = [row for row in shares if row["name"] != results["hard"]] or shares
        looks = min(len(curve) for row in rows for curve in row["curves"])
        shown = sorted({round(place) for place in np.linspace(0, looks - 1, MOST_LOOKS)})
        cells = [
            [f"{_mean(rows[0], look, 'updates'):,.0f}", *(cell for row in rows for cell in _at_look(row, look))]
            for look in shown
        ]
        lines += [
            f"**On the way**, with {100 * fraction:g} % of the data: accuracy on the frames trained on and on test, %, "
            "and cross-entropy on test, nats (of up to 65,536 frames each).",
            "",
            table(["updates", *(f"{row['name']}: train / test / nats" for row in rows)], cells),
            "",
        ]
    return lines


def _at_look(row: Mapping[str, Any], look: int) -> list[str]:
    if any({"test_cross_entropy", "fitted_frame_accuracy"} - curve[look].keys() for curve in row["curves"]):
        return ["-"]
    train, test = (_mean(row, look, f"{name}_frame_accuracy") for name in ("fitted", "test"))
    return [f"{100 * train:.1f} / {100 * test:.1f} / {_mean(row, look, 'test_cross_entropy'):.2f}"]


def _mean(row: Mapping[str, Any], look: int, name: str) -> float:
    return float(np.mean([curve[look][name] for curve in row["curves"]]))


def _percent(row: Mapping[str, Any], name: str) -> str:
    value: float | None = row.get(name)
    if value is None:
        return "-"
    ci: Sequence[float] = row[f"{name}_ci"]
    return f"{100 * value:.1f} [{100 * ci[0]:.1f}, {100 * ci[1]:.1f}]"
