"""What `score` prints: a short aligned table, and differences in words that say how far to trust them."""

from collections.abc import Mapping, Sequence
from typing import Any

from asr_kd.score.bootstrap import LEVEL

SIGNIFICANT_P = 0.05


def summary_table(results: Mapping[str, Any]) -> str:
    """The systems' figures as aligned text, with the gain kept below."""
    header = ("system", "members", "params", "seeds", "frame acc %", f"[{LEVEL:.0%}]", "WER %", f"[{LEVEL:.0%}]")
    lines = aligned([header, *(_row(system) for system in results["systems"])])
    return "\n".join([*lines, *_gain_lines(results)])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with their cells in columns, all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def wer_verdict(comparison: Mapping[str, Any]) -> str:
    """One WER difference in words: size, interval, p-values, and what they allow one to say."""
    pairs, bootstrap = comparison["matched_pairs_p"], comparison["bootstrap_p"]
    size = points(comparison["wer_difference"], comparison["wer_difference_ci"])
    significant = (pairs < SIGNIFICANT_P) + (bootstrap < SIGNIFICANT_P)
    if significant == 2:
        verdict = "lower" if comparison["wer_difference"] < 0 else "higher"
        verdict += ", significant at the 5 % level"
    elif significant == 1:
        verdict = "on the border of noise, the two tests disagree"
    else:
        verdict = "within noise, this test set does not tell them apart"
    return f"{size}, matched pairs {p_value(pairs)}, paired bootstrap {p_value(bootstrap)}: {verdict}"


def difference_verdict(value: float, ci: Sequence[float], p: float) -> str:
    """A difference of rates in words, where there is one test only."""
    if p >= SIGNIFICANT_P:
        verdict = "within noise, this test set does not tell them apart"
    else:
        verdict = f"{'lower' if value < 0 else 'higher'}, significant at the 5 % level"
    return f"{points(value, ci)}, paired bootstrap {p_value(p)}: {verdict}"


def p_value(value: float) -> str:
    """A p-value as it is written: ``p = 0.041``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def points(value: float, ci: Sequence[float]) -> str:
    """A difference of rates in points with its interval: ``-0.52 points [-0.81, -0.23]``."""
    return f"{100 * value:+.2f} points [{100 * ci[0]:+.2f}, {100 * ci[1]:+.2f}]"


def kept(gain: Mapping[str, Any], metric: str) -> str:
    """A share of the ensemble's gain in per cent, its interval and spread over the student's seeds, or ``-``."""
    if gain[metric] is None:
        return "-"
    low, high = gain[f"{metric}_ci"]
    spread = gain[f"{metric}_std"]
    over_seeds = "" if spread is None else f" ± {100 * spread:.0f}"
    return f"{100 * gain[metric]:.0f} % [{100 * low:.0f}, {100 * high:.0f}]{over_seeds}"


def gains(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Each student's gain kept, by the student's name, in the order of the systems."""
    named = {row["name"]: results.get(f"gain_kept_{row['name']}") for row in results["systems"]}
    named |= {"distilled": results["gain_kept"]} if "gain_kept" in results else {}
    return {name: gain for name, gain in named.items() if gain}


def _row(system: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        system["name"],
        str(system["members"]),
        f"{system['params']:,}",
        str(system["seeds"]),
        f"{100 * system['frame_accuracy']:.2f}",
        _interval(system["frame_accuracy_ci"]),
        f"{100 * system['wer']:.2f}",
        _interval(system["wer_ci"]),
    )


def _gain_lines(results: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, gain in gains(results).items():
        lines.append(f"gain kept by {name}: frame accuracy {kept(gain, 'frame_accuracy')}, WER {kept(gain, 'wer')}")
    reasons = {reason for gain in gains(results).values() for reason in gain["reason"].values()}
    return lines + [f"  - : {reason}" for reason in sorted(reasons)]


def _interval(ci: Sequence[float]) -> str:
    return f"[{100 * ci[0]:.2f}, {100 * ci[1]:.2f}]"
