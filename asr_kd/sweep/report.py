"""``RESULTS.md`` of a sweep: every cell's figures, the best on dev, and which cells are within noise of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from asr_kd.score.bootstrap import drawn_units
from asr_kd.score.markdown import table
from asr_kd.score.origin import remade_by, titled
from asr_kd.sweep.grid import SETS, show

SPOKEN = {
    "temperature": "temperature",
    "soft_weight": "soft weight",
    "hard_weight": "hard weight",
    "hidden_dim": "hidden units",
}

_READING = """\
- A cell's figures are means over its seeds; `±` is the standard deviation over them. `[ , ]` are 95 % intervals by a
  bootstrap over {units}, the same resampled ones for every cell. Cross-entropy is in nats a frame at
  temperature 1.
- The best cell is chosen on dev; on test nothing was chosen. Each width has its own best cell.
- How far a cell is below the best one of its width has a 95 % interval that counts the chance in these and,
  where there are several seeds, that in the seeds: their variance is pooled over the cells of a width. A cell is within
  noise (`=`) where that interval holds 0 on dev.
"""
_ONE_SEED = "- There is one seed: what another would turn round is not told from the rest. Give more with `--seeds`."


@dataclass(frozen=True)
class Metric:
    """How a cell's quality is shown.

    Attributes:
        label: with its unit.
        key: in a set's row of the results.
        scale: of a value.
        digits: behind the point, of a value and of a spread.
    """

    label: str
    key: str
    scale: float
    digits: int

    def value(self, row: Mapping[str, Any]) -> float:
        """The mean over seeds."""
        return float(self.scale * row[self.key])

    def of_run(self, run: Mapping[str, Any], of: str) -> float:
        """A single student's, on dev or test."""
        return float(self.scale * run[f"{of}_{self.key}"])

    def texts(self, row: Mapping[str, Any]) -> tuple[str, str]:
        """The mean over seeds and ``±`` the standard deviation, which is empty for one seed."""
        spread = row[f"{self.key}_std"]
        text = f"{self.value(row):.{self.digits}f}"
        return text, "" if spread is None else f"± {self.scale * spread:.{self.digits}f}"

    def interval(self, row: Mapping[str, Any], frames: int) -> tuple[float, float]:
        """The bootstrap's interval."""
        low, high = row["frame_accuracy_ci"]
        return (100 * low, 100 * high) if self.key == "frame_accuracy" else (frames * (1 - high), frames * (1 - low))


METRICS = {
    "accuracy": Metric("frame accuracy, %", "frame_accuracy", 100, 2),
    "errors": Metric("wrong frames", "errors", 1, 1),
}


def render(results: Mapping[str, Any], metric: str) -> str:
    """One page of Markdown."""
    parts = [
        f"# {titled('Sweep', results)}",
        f"Written by `asr-kd sweep` from the runs themselves. {remade_by(results)}",
    ]
    parts.append(_setting(results))
    parts.append(verdict(results, metric))
    parts += [_grid(results, rows, columns, metric) for columns, rows in combinations(varying(results), 2)]
    parts += ["## Every cell", _table(results, metric)]
    parts += [
        "## How to read the figures",
        _READING.format(units=drawn_units(results["bootstrap"])) + (_ONE_SEED if len(results["seeds"]) == 1 else ""),
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def verdict(results: Mapping[str, Any], metric: str) -> str:
    """For each width the best cell on dev, and those that may be as good."""
    names = varying(results)
    if not names:
        return "One cell: there is nothing to choose."
    return "\n".join(_verdict_on_width(results, width, metric) for width in results["dimensions"]["hidden_dim"])


def varying(results: Mapping[str, Any]) -> list[str]:
    """The dimensions with more than one value."""
    return [name for name, values in results["dimensions"].items() if len(values) > 1]


def through_best(results: Mapping[str, Any], free: Sequence[str]) -> list[Mapping[str, Any]]:
    """The cells that agree with the best one in all but the given dimensions."""
    fixed = {name: value for name, value in results["best"].items() if name not in free}
    return [row for row in results["cells"] if all(row[name] == value for name, value in fixed.items())]


def others_fixed(results: Mapping[str, Any], free: Sequence[str]) -> str:
    """In words, where `through_best` cuts the dimensions that vary beside the given ones; empty where none does."""
    names = [name for name in varying(results) if name not in free]
    return f"at {_describe(results['best'], names)}" if names else ""


def _setting(results: Mapping[str, Any]) -> str:
    seeds = f"{len(results['seeds'])} seeds" if len(results["seeds"]) > 1 else "one seed"
    fixed = [name for name in results["dimensions"] if name not in varying(results)]
    parts = [f"{len(results['cells'])} cells of {seeds}", _describe(results["best"], fixed)]
    parts += [f"{of} {results['utterances'][of]:,} utterances, {results['frames'][of]:,} frames" for of in SETS]
    return "; ".join(filter(None, parts)) + "."


def _verdict_on_width(results: Mapping[str, Any], width: int, metric: str) -> str:
    cells = [row for row in results["cells"] if row["hidden_dim"] == width]
    names = [name for name in varying(results) if name != "hidden_dim"]
    (best,) = (row for row in cells if row["best"])
    figures = ", ".join(f"{of} {_figure(best[of], results['frames'][of], metric)}" for of in SETS)
    who = f"{width} hidden units" if len(results["dimensions"]["hidden_dim"]) > 1 else "best on dev"
    line = f"- **{who}: {_describe(best, names)}** ({METRICS[metric].label}: {figures})."
    rivals = sorted(
        (row for row in cells if row["within_noise"] and not row["best"]), key=lambda row: row["dev"]["below_best"]
    )
    if len(cells) == 1:
        return line.replace(": **", "**")
    if not rivals:
        return f"{line} None of the {len(cells) - 1} others is within noise of it."
    named = "; ".join(_describe(row, names) for row in rivals)
    return f"{line} Within noise of it, {len(rivals)} of {len(cells) - 1} others: {named}."


def _grid(results: Mapping[str, Any], rows: str, columns: str, metric: str) -> str:
    """Two dimensions against each other, on test."""
    found = {(row[rows], row[columns]): row for row in through_best(results, (rows, columns))}
    where = others_fixed(results, (rows, columns))
    values = results["dimensions"]
    body = [
        [show(row), *(_short_figure(found[row, column], metric) for column in values[columns])] for row in values[rows]
    ]
    title = f"Test {METRICS[metric].label}, {SPOKEN[rows]} by {SPOKEN[columns]}" + (f", {where}" if where else "")
    return f"{title} (bold: best of its width on dev):\n\n" + table(["", *map(show, values[columns])], body)


def _short_figure(row: Mapping[str, Any], metric: str) -> str:
    value, spread = METRICS[metric].texts(row["test"])
    return f"**{value}** {spread}".strip() if row["best"] else f"{value} {spread}".strip()


def _table(results: Mapping[str, Any], metric: str) -> str:
    names = varying(results)
    header = [SPOKEN[name] for name in names] + [f"{of} {METRICS[metric].label}" for of in SETS]
    header += [f"{of} cross-entropy" for of in SETS] + [f"{of}: below the best, points" for of in SETS] + [""]
    rows = []
    for row in sorted(results["cells"], key=lambda row: row["hidden_dim"], reverse=True):
        rows.append(
            [show(row[name]) for name in names]
            + [_figure(row[of], results["frames"][of], metric) for of in SETS]
            + [f"{row[of]['cross_entropy']:.4f}" for of in SETS]
            + ["best" if row["best"] else _below(row[of]) for of in SETS]
            + ["=" if row["within_noise"] and not row["best"] else ""]
        )
    return table(header, rows)


def _figure(row: Mapping[str, Any], frames: int, metric: str) -> str:
    shown = METRICS[metric]
    value, spread = shown.texts(row)
    low, high = shown.interval(row, frames)
    return f"**{value}** [{low:.{shown.digits}f}, {high:.{shown.digits}f}] {spread}".strip()


def _below(row: Mapping[str, Any]) -> str:
    low, high = (100 * bound for bound in row["below_best_ci"])
    return f"{100 * row['below_best']:.2f} [{low:.2f}, {high:.2f}]"


def _describe(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{SPOKEN[name]} {show(row[name])}" for name in names)
