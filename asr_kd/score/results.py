"""The figures of one protocol as one dictionary: ``results.json``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asr_kd.score.bootstrap import LEVEL, Estimate, bootstrap_facts, estimate_ratios
from asr_kd.score.confusions import count_confusions, most_confused
from asr_kd.score.origin import Origin
from asr_kd.score.segments import segment_errors
from asr_kd.score.significance import bootstrap_p, holm, matched_pairs
from asr_kd.score.speakers import speaker_rows
from asr_kd.score.systems import BASELINE, DISTILLED, ENSEMBLE, System, mean_known, split_variant

FRAME_ACCURACY, WER = "frame_accuracy", "wer"
METRICS = (FRAME_ACCURACY, WER)
_MOST_CONFUSED = 20
_SPOKEN = {FRAME_ACCURACY: "frame accuracy", WER: "WER"}

Estimates = Mapping[tuple[str, str], Estimate]


def build_results(
    systems: Sequence[System], *, origin: Origin, num_folds: int, num_samples: int, seed: int
) -> dict[str, Any]:
    """Score systems against each other.

    Error counts are sums over a system's runs (its seeds), rates are those of the sums, so a rate is
    also the mean over the runs. Intervals are over speakers or utterances, the same resampled ones for all systems.

    Args:
        systems: what `load_systems` returns.
        origin: which run it is.
        num_folds: how many experiments were pooled.
        num_samples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        JSON values as ``docs/formats.md`` lists them; corpus and times are the caller's to add.
    """
    estimates = estimate_systems(systems, num_samples=num_samples, seed=seed)
    first = systems[0].runs[0]
    by_name = {system.name: system for system in systems}
    students = [name for name in by_name if split_variant(name)[0] not in (BASELINE, ENSEMBLE)]
    return {
        **origin.facts(),
        "folds": num_folds,
        "corpus": {
            "test_utterances": len(first.utterances),
            "test_words": int(first.words.ref_words.sum()),
            "test_different_words": len({word for words in first.references() for word in words}),
            "test_speakers": len(set(first.speakers)),
            "test_labelled_frames": int(first.frames.num_frames.sum()),
        },
        "num_pdfs": systems[0].info.num_pdfs,
        "bootstrap": bootstrap_facts(num_samples=num_samples, seed=seed, speakers=first.speakers),
        "systems": [_system_row(system, estimates) for system in systems],
        "ensemble_gain": _ensemble_gain(by_name, estimates),
        **{
            "gain_kept" if name == DISTILLED else f"gain_kept_{name}": _gain_kept(name, by_name, estimates)
            for name in students
        },
        "pairs": _all_pairs(systems, estimates),
        "speakers": speaker_rows(systems, num_samples=num_samples, seed=seed),
    }


def estimate_systems(systems: Sequence[System], *, num_samples: int, seed: int) -> dict[tuple[str, str], Estimate]:
    """Frame accuracy and WER of each system by (name, metric), jointly resampled."""
    ratios: dict[tuple[str, str], tuple[Any, Any]] = {}
    for system in systems:
        ratios[system.name, FRAME_ACCURACY] = system.num_correct_U, system.num_frames_U
        ratios[system.name, WER] = system.errors_U, system.ref_words_U
    speakers = systems[0].runs[0].speakers
    return estimate_ratios(ratios, num_samples=num_samples, rng=np.random.default_rng(seed), speakers=speakers)


def fraction_kept(baseline: Estimate, ensemble: Estimate, student: Estimate) -> Estimate:
    """(student - baseline) / (ensemble - baseline), on the test set and on each resampled one."""
    gain, kept = ensemble.minus(baseline), student.minus(baseline)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Estimate(kept.value / gain.value, kept.samples_B / gain.samples_B)


def compare_wer(a: System, b: System, estimates: Estimates) -> dict[str, Any]:
    """WER of ``a`` minus that of ``b``, its interval, and two tests that it is 0."""
    difference = estimates[a.name, WER].minus(estimates[b.name, WER])
    pairs = matched_pairs(*segment_errors(a.slots_L, b.slots_L, a.runs[0].words.ref_words))
    return {
        "wer_difference": difference.value,
        "wer_difference_ci": list(difference.interval()),
        "segments": pairs.segments,
        "matched_pairs_p": pairs.p,
        "bootstrap_p": bootstrap_p(difference),
    }


def _system_row(system: System, estimates: Estimates) -> dict[str, Any]:
    confusions = count_confusions(words for run in system.runs for words in run.alignments)
    accuracy, wer = estimates[system.name, FRAME_ACCURACY], estimates[system.name, WER]
    runs = system.runs
    return {
        "name": system.name,
        "members": system.info.members,
        "params": system.info.params,
        "conf": system.info.conf,
        "frame_accuracy": accuracy.value,
        "frame_accuracy_ci": list(accuracy.interval()),
        "frame_accuracy_std": _spread(_over_seeds(system, FRAME_ACCURACY)),
        "cross_entropy": float(np.mean([run.frames.mean_cross_entropy for run in runs])),
        "wer": wer.value,
        "wer_ci": list(wer.interval()),
        "wer_std": _spread(_over_seeds(system, WER)),
        "sub": sum(int(run.words.sub.sum()) for run in runs),
        "ins": sum(int(run.words.ins.sum()) for run in runs),
        "del": sum(int(run.words.dele.sum()) for run in runs),
        "ref_words": sum(int(run.words.ref_words.sum()) for run in runs),
        "most_confused": most_confused(confusions, _MOST_CONFUSED),
        "seeds": len(runs),
        "dev_wer": mean_known([run.info.dev_wer for run in runs]),
        "rtf": mean_known([run.info.rtf for run in runs]),
        "runs": [
            {
                "seed": run.info.seed,
                "frame_accuracy": run.frames.accuracy,
                "cross_entropy": run.frames.mean_cross_entropy,
                "wer": run.words.wer,
                "dev_wer": run.info.dev_wer,
                "acoustic_scale": run.info.acoustic_scale,
                "insertion_penalty": run.info.insertion_penalty,
                "lm_scale": run.info.lm_scale,
                "beam": run.info.beam,
                "oracle_wer": run.info.oracle_wer,
            }
            for run in runs
        ],
    }


def _ensemble_gain(by_name: Mapping[str, System], estimates: Estimates) -> dict[str, Any] | None:
    """Ensemble minus baseline in both metrics, in points of 1; None where one of them is missing."""
    if BASELINE not in by_name or ENSEMBLE not in by_name:
        return None
    gain: dict[str, Any] = {}
    for metric in METRICS:
        difference = estimates[ENSEMBLE, metric].minus(estimates[BASELINE, metric])
        gain |= {metric: difference.value, f"{metric}_ci": list(difference.interval())}
    return gain | {"significance": compare_wer(by_name[ENSEMBLE], by_name[BASELINE], estimates)}


def _all_pairs(systems: Sequence[System], estimates: Estimates) -> list[dict[str, Any]]:
    """Every system against every later one; ``holm_p`` holds for all of these comparisons together."""
    pairs = [(one, other) for place, one in enumerate(systems) for other in systems[place + 1 :]]
    found = [{"a": a.name, "b": b.name} | compare_wer(b, a, estimates) for a, b in pairs]
    adjusted = holm([pair["matched_pairs_p"] for pair in found])
    return [pair | {"holm_p": p} for pair, p in zip(found, adjusted, strict=True)]


def _gain_kept(student: str, by_name: Mapping[str, System], estimates: Estimates) -> dict[str, Any]:
    """A student's share of the gain of the ensemble whose words were made in the same way."""
    system, variant = split_variant(student)
    rivals = BASELINE + variant, ENSEMBLE + variant
    kept: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for metric in METRICS:
        reason = _why_not(metric, rivals, by_name, estimates)
        if reason:
            reasons[metric] = reason
            kept |= {metric: None, f"{metric}_ci": None, f"{metric}_std": None}
            continue
        baseline, ensemble = (estimates[rival, metric] for rival in rivals)
        fraction = fraction_kept(baseline, ensemble, estimates[student, metric])
        spread = _spread(_over_seeds(by_name[student], metric))
        kept |= {
            metric: fraction.value,
            f"{metric}_ci": list(fraction.interval()),
            f"{metric}_std": spread and spread / abs(ensemble.value - baseline.value),
        }
    kept["reason"] = reasons
    kept["significance"] = {
        f"{student}_vs_{other}": compare_wer(by_name[student], by_name[other], estimates)
        for other in (*rivals, *([system] if variant else []))
        if other in by_name
    }
    return kept


def _why_not(metric: str, rivals: tuple[str, str], by_name: Mapping[str, System], estimates: Estimates) -> str:
    """Why no share of the ensemble's gain can be given; empty where it can."""
    for name in rivals:
        if name not in by_name:
            return f"no system named '{name}' was decoded"
    baseline, ensemble = rivals
    gain = estimates[ensemble, metric].minus(estimates[baseline, metric])
    low, high = gain.interval()
    points = f"{100 * gain.value:+.2f} points, {LEVEL:.0%} interval {100 * low:+.2f} to {100 * high:+.2f}"
    if low <= 0 <= high:
        return f"the ensemble's gain in {_SPOKEN[metric]} is not above noise ({points})"
    if (gain.value > 0) == (metric == WER):
        return f"the ensemble is worse than the baseline in {_SPOKEN[metric]} ({points})"
    return ""


def _over_seeds(system: System, metric: str) -> list[float]:
    return [run.words.wer if metric == WER else run.frames.accuracy for run in system.runs]


def _spread(values: Sequence[float]) -> float | None:
    """Standard deviation over seeds, with n - 1; None for a single seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
