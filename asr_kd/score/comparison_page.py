"""What `compare` prints: both systems, their differences in a table, and what the tests allow one to say."""

from collections.abc import Mapping
from typing import Any

from asr_kd.score.summary import aligned, difference_verdict, p_value, wer_verdict

# What is printed of a metric: its name, its unit's size, digits.
_SHOWN = {
    "frame_accuracy": ("frame accuracy, %", 100, 2),
    "cross_entropy": ("cross-entropy, nats a frame", 1, 4),
    "wer": ("WER, %", 100, 2),
    "sub": ("  substitutions, %", 100, 2),
    "del": ("  deletions, %", 100, 2),
    "ins": ("  insertions, %", 100, 2),
    "ser": ("utterances with an error, %", 100, 2),
}


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """The comparison as aligned text."""
    metrics = comparison["metrics"]
    seeds = any(row["with_seeds_p"] is not None for row in metrics.values())
    header = ["", "A", "B", "B - A", "[95%]", "p"] + (["[95%], seeds too", "p, seeds too"] if seeds else [])
    rows = [_row(metric, row, seeds) for metric, row in metrics.items()]
    lines = [_system("A", comparison["a"]), _system("B", comparison["b"]), "", *aligned([header, *rows]), ""]
    for metric, name in (("frame_accuracy", "frame accuracy"), ("wer", "WER")):
        if metric in metrics:
            lines.append(f"B - A, {name}: {_verdict(metric, comparison)}")
    return "\n".join([*lines, *_notes(comparison, seeds)])


def _system(letter: str, side: Mapping[str, Any]) -> str:
    seeds = [str(seed) for seed in side["seeds"] if seed is not None]
    which = f" seed{'s' if len(seeds) > 1 else ''} {' '.join(seeds)}" if seeds else ""
    first, *others = side["directories"]
    return f"{letter}  {side['name']}{which} ({first}{f' and {len(others)} more' if others else ''})"


def _row(metric: str, row: Mapping[str, Any], seeds: bool) -> list[str]:
    name, scale, digits = _SHOWN[metric]

    def interval(ci: list[float] | None) -> str:
        return "-" if ci is None else f"[{scale * ci[0]:+.{digits}f}, {scale * ci[1]:+.{digits}f}]"

    cells = [name, *(f"{scale * row[side]:.{digits}f}{_spread(row[f'{side}_std'], scale, digits)}" for side in "ab")]
    cells += [f"{scale * row['difference']:+.{digits}f}", interval(row["difference_ci"]), _bare_p(row["bootstrap_p"])]
    return cells + ([interval(row["with_seeds_ci"]), _bare_p(row["with_seeds_p"])] if seeds else [])


def _spread(std: float | None, scale: int, digits: int) -> str:
    return "" if std is None else f" ± {scale * std:.{digits}f}"


def _bare_p(value: float | None) -> str:
    return "-" if value is None else p_value(value).removeprefix("p ").removeprefix("= ")


def _verdict(metric: str, comparison: Mapping[str, Any]) -> str:
    row = comparison["metrics"][metric]
    if metric != "wer":
        return difference_verdict(row["difference"], row["difference_ci"], row["bootstrap_p"])
    return wer_verdict(
        {
            "wer_difference": row["difference"],
            "wer_difference_ci": row["difference_ci"],
            "matched_pairs_p": comparison["matched_pairs"]["p"],
            "bootstrap_p": row["bootstrap_p"],
        }
    )


def _notes(comparison: Mapping[str, Any], seeds: bool) -> list[str]:
    samples = comparison["bootstrap"]["samples"]
    notes = [f"{comparison['utterances']:,} utterances, the same ones resampled for both {samples:,} times"]
    if comparison["matched_pairs"]:
        pairs = comparison["matched_pairs"]
        z = "" if pairs["z"] is None else f", z = {pairs['z']:.3f}"
        notes.append(f"matched pairs: NIST's MAPSSWE, {pairs['segments']:,} segments{z}")
    if "frame_accuracy" not in comparison["metrics"]:
        notes.append("frame accuracy is left out: the two have no frames of the same states and labels")
    if seeds:
        notes.append("± : standard deviation over seeds; 'seeds too': the chance of other seeds is in it as well")
        if min(len(comparison[side]["seeds"]) for side in "ab") == 1:
            notes.append("the system with a single seed is taken to vary over seeds as the other does")
    return notes
