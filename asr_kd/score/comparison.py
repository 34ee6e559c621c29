"""Two systems on one test set: what each does, how they differ, and whether that is more than chance.

Legend: U utterances, B resampled test sets, K seeds of a system, L slots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr_kd.errors import DataError, MismatchError
from asr_kd.score.bootstrap import Estimate, bootstrap_facts, estimate_ratios, seed_deviation
from asr_kd.score.outcome import FRAME_METRICS, WORD_METRICS, FloatArray, Outcome, join_folds, read_outcome
from asr_kd.score.segments import segment_errors
from asr_kd.score.significance import bootstrap_p, matched_pairs

# With one degree of freedom Student's t is so wide that it says nothing.
_LEAST_DEGREES = 2


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two systems: its runs differ in their seed only, each over the whole test set."""

    name: str
    directories: tuple[Path, ...]
    runs: tuple[Outcome, ...]

    @property
    def slots_L(self) -> FloatArray:
        """Word errors by slot, the mean over the runs."""
        return np.mean([np.concatenate(run.slots) for run in self.runs], axis=0)


def load_side(directories: Sequence[Path]) -> Side:
    """Read the runs of one system; runs of one seed are folds of one test set.

    Raises:
        DataError: a directory is unreadable, or they hold more than one system.
        MismatchError: the runs were tested on different data, or not in the same metrics.
    """
    found = [read_outcome(directory) for directory in directories]
    for outcome in found[1:]:
        if outcome.name != found[0].name:
            raise DataError(
                f"{outcome.directory}: a run of '{outcome.name}', but {found[0].directory} is one of "
                f"'{found[0].name}'; give the other system after --vs"
            )
    seeds = dict.fromkeys(outcome.seed for outcome in found)
    runs = [join_folds([outcome for outcome in found if outcome.seed == seed]) for seed in seeds]
    for run in runs[1:]:
        _require_alike(runs[0], run)
    return Side(name=found[0].name, directories=tuple(directories), runs=tuple(runs))


def compare_sides(a: Side, b: Side, *, num_samples: int, seed: int) -> dict[str, Any]:
    """B - A in every metric that both have.

    The same resampled utterances are drawn for both. That says whether these trained networks differ. Whether the
    *methods* do is another question where networks of other seeds come out otherwise: each drawn difference then has a
    draw of the error of a difference between two means over seeds added to it (Student's t, the variance between
    seeds pooled over both systems), as in a sweep.

    Args:
        num_samples: B, bootstrap samples.
        seed: of the bootstrap.

    Returns:
        JSON values as ``docs/formats.md`` lists them.

    Raises:
        MismatchError: the two were tested on other data.
    """
    _require_same_test_set(a.runs[0], b.runs[0])
    metrics = _comparable(a, b)
    if not metrics:
        raise MismatchError(
            f"{a.directories[0]} and {b.directories[0]}: nothing to compare: no words in both, no frames of the same "
            "labels in both"
        )
    rng = np.random.default_rng(seed)
    ratios = {(name, metric): _mean_ratio(side, metric) for name, side in (("a", a), ("b", b)) for metric in metrics}
    estimates = estimate_ratios(ratios, num_samples=num_samples, rng=rng)
    words, frames = "wer" in metrics, FRAME_METRICS[0] in metrics
    return {
        "a": _describe(a),
        "b": _describe(b),
        "utterances": len(a.runs[0].utterances),
        "words": int(a.runs[0].ratios["wer"][1].sum()) if words else None,
        "labelled_frames": int(a.runs[0].ratios[FRAME_METRICS[0]][1].sum()) if frames else None,
        "bootstrap": bootstrap_facts(num_samples=num_samples, seed=seed, speakers=()),
        "metrics": {metric: _row(a, b, metric, estimates, rng) for metric in metrics},
        "matched_pairs": _matched_pairs(a, b) if words else None,
    }


def _comparable(a: Side, b: Side) -> list[str]:
    """Metrics that both have; those of frames only where both were scored on the same labels."""
    one, other = a.runs[0], b.runs[0]
    metrics = [metric for metric in (*FRAME_METRICS, *WORD_METRICS) if metric in one.ratios and metric in other.ratios]
    if FRAME_METRICS[0] in metrics and (
        one.of_other_frames(other)
        or not np.array_equal(one.ratios[FRAME_METRICS[0]][1], other.ratios[FRAME_METRICS[0]][1])
    ):
        metrics = [metric for metric in metrics if metric not in FRAME_METRICS]
    return metrics


def _mean_ratio(side: Side, metric: str) -> tuple[FloatArray, FloatArray]:
    above_U = np.mean([run.ratios[metric][0] for run in side.runs], axis=0)
    return above_U, side.runs[0].ratios[metric][1]


def _row(
    a: Side, b: Side, metric: str, estimates: Mapping[tuple[str, str], Estimate], rng: np.random.Generator
) -> dict[str, Any]:
    difference = estimates["b", metric].minus(estimates["a", metric])
    found: dict[str, Any] = {}
    for name, side in (("a", a), ("b", b)):
        estimate, values = estimates[name, metric], _over_seeds(side, metric)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        found |= {name: estimate.value, f"{name}_ci": list(estimate.interval()), f"{name}_std": spread}
    found |= {
        "difference": difference.value,
        "difference_ci": list(difference.interval()),
        "bootstrap_p": bootstrap_p(difference),
    }
    errors_B = _seed_errors(_over_seeds(a, metric), _over_seeds(b, metric), len(difference.samples_B), rng)
    with_seeds = Estimate(difference.value, difference.samples_B + errors_B) if errors_B is not None else None
    found["with_seeds_ci"] = None if with_seeds is None else list(with_seeds.interval())
    found["with_seeds_p"] = None if with_seeds is None else bootstrap_p(with_seeds)
    return found


def _seed_errors(
    a_K: Sequence[float], b_K: Sequence[float], num_samples: int, rng: np.random.Generator
) -> npt.NDArray[np.float64] | None:
    """Draws of the error of a difference between two means over seeds; None where the seeds are too few to say."""
    deviation, freedom = seed_deviation((a_K, b_K))
    if freedom < _LEAST_DEGREES:
        return None
    scale = deviation * np.sqrt(1 / len(a_K) + 1 / len(b_K))
    return np.asarray(scale * rng.standard_t(freedom, size=num_samples))


def _over_seeds(side: Side, metric: str) -> list[float]:
    return [float(run.ratios[metric][0].sum() / run.ratios[metric][1].sum()) for run in side.runs]


def _matched_pairs(a: Side, b: Side) -> dict[str, Any]:
    words_U = a.runs[0].ratios["wer"][1]
    pairs = matched_pairs(*segment_errors(b.slots_L, a.slots_L, words_U))
    return {"z": pairs.z if np.isfinite(pairs.z) else None, "p": pairs.p, "segments": pairs.segments}


def _describe(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "directories": [str(directory) for directory in side.directories],
        "seeds": [run.seed for run in side.runs],
        "num_pdfs": side.runs[0].num_pdfs,
    }


def _require_alike(first: Outcome, run: Outcome) -> None:
    """Two seeds of one system: the same metrics, of the same states, over as many words and labelled frames."""
    _require_same_test_set(first, run)
    if lacking := set(first.ratios) ^ set(run.ratios):
        what = f"only one of the two has {min(lacking)}"
    elif first.num_pdfs != run.num_pdfs:
        what = f"frames of {first.num_pdfs} and of {run.num_pdfs} pdfs"
    elif first.of_other_frames(run):
        what = "other frame labels"
    elif any(not np.array_equal(below_U, run.ratios[metric][1]) for metric, (_, below_U) in first.ratios.items()):
        what = "other numbers of labelled frames"
    else:
        return
    raise MismatchError(f"{first.directory} and {run.directory}: {what}; test the seeds of one system alike")


def _require_same_test_set(a: Outcome, b: Outcome) -> None:
    if a.utterances != b.utterances:
        odd = min(set(a.utterances) ^ set(b.utterances))
        raise MismatchError(
            f"{b.directory}: tested on {len(b.utterances)} utterances, {a.directory} on {len(a.utterances)} "
            f"(only one has {odd}); decode both on one test set"
        )
    if a.references and b.references and a.references != b.references:
        odd = next(u for u, x, y in zip(a.utterances, a.references, b.references, strict=True) if x != y)
        raise MismatchError(
            f"{b.directory / 'ref.txt'}: other reference words than {a.directory} has for {odd}; decode both on one "
            "test set"
        )
