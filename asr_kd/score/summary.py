"""What `score` and `compare` print: a short aligned table, and the difference of two runs in lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from asr_kd.score.bootstrap import LEVEL
from asr_kd.score.decoded import Decoded
from asr_kd.score.results import FRAME_ACCURACY, compare_wer, estimate_systems
from asr_kd.score.systems import System
from asr_kd.score.wer import wer_lines

SIGNIFICANT_P = 0.05


def summary_table(results: Mapping[str, Any]) -> str:
    """The systems' figures as aligned text, with the gain kept below."""
    header = ("system", "members", "params", "seeds", "frame acc %", f"[{LEVEL:.0%}]", "WER %", f"[{LEVEL:.0%}]")
    rows = [header, *(_row(system) for system in results["systems"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return "\n".join([*lines, *_gain_lines(results)])


def compare_runs(a: Decoded, b: Decoded, *, num_samples: int, seed: int) -> str:
    """Both runs' figures, then B - A in frame accuracy and WER with interval, p-values and a verdict."""
    one, two = System(name="A", runs=(a,)), System(name="B", runs=(b,))
    estimates = estimate_systems([one, two], num_samples=num_samples, seed=seed)
    accuracy = estimates["B", FRAME_ACCURACY].minus(estimates["A", FRAME_ACCURACY])
    wer = compare_wer(two, one, estimates)
    lines = [
        f"{label}  {run.info.name} seed {run.info.seed} ({run.directory}): frame accuracy "
        f"{100 * run.frames.accuracy:.2f} %, {wer_lines(run.words).splitlines()[0]}"
        for label, run in (("A", a), ("B", b))
    ]
    lines += [
        f"B - A, frame accuracy: {points(accuracy.value, accuracy.interval())}: {_sign(accuracy.interval())}",
        f"B - A, WER: {wer_verdict(wer)}",
        f"{len(a.utterances)} utterances, the same ones resampled for both {num_samples} times; "
        "matched pairs: MAPSSWE with one segment an utterance",
    ]
    return "\n".join(lines)


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
    return f"{size}, matched pairs {_p(pairs)}, paired bootstrap {_p(bootstrap)}: {verdict}"


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


def _sign(ci: Sequence[float]) -> str:
    if ci[0] <= 0 <= ci[1]:
        return "within noise, this test set does not tell them apart"
    return "higher, beyond the interval" if ci[0] > 0 else "lower, beyond the interval"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
