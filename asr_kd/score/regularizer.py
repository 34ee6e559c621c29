"""How far a part of the data goes with hard and with soft targets (Hinton, Vinyals & Dean 2015, table 5).

A *system* here is one way to train (its name) on one share of the data; its runs differ in seed and utterances drawn.

Legend: U utterances.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr_kd.errors import DataError, MismatchError
from asr_kd.score.bootstrap import Estimate, bootstrap_facts, estimate_ratios, seed_deviation
from asr_kd.score.evaluated import Evaluated, read_evaluated
from asr_kd.score.results import fraction_kept
from asr_kd.stage import read_run

METRICS_FILE, MODEL_FILE = "metrics.jsonl", "model.safetensors"
WATCHED = tuple((name, m) for name in ("fitted", "dev", "test") for m in ("frame_accuracy", "cross_entropy"))
System = tuple[str, float]


@dataclass(frozen=True, kw_only=True)
class PartialRun:
    """One model trained on a share of the data.

    Attributes:
        fraction: share of the utterances trained on.
        num_frames: frames of an epoch.
        fitted_accuracy: of the frames trained on, with the final weights; None if it was not measured.
        curve: of each look at the dev set the ``updates`` so far, and accuracy and cross-entropy of those of
            ``fitted``, ``dev`` and ``test`` that were watched.
    """

    evaluated: Evaluated
    fraction: float
    num_frames: int
    fitted_accuracy: float | None
    curve: Sequence[Mapping[str, float]]

    @property
    def system(self) -> System:
        """The way it was trained, and the share of the data."""
        return self.evaluated.info.name, self.fraction


def load_partial_runs(
    models: Sequence[Path], evaluated: Sequence[Path], fitted: Sequence[Path]
) -> dict[System, list[PartialRun]]:
    """Read runs by system, largest share first.

    Args:
        models: directories of `asr-kd train` or `asr-kd distill`.
        evaluated: of `asr-kd evaluate`, of each model in the same order, all on the test set.
        fitted: of `asr-kd evaluate` of models trained on everything, on the frames they were trained on; in any order.

    Raises:
        DataError: a directory is unreadable.
        MismatchError: runs of other test frames, or of another model than the one in its place; a model given twice.
    """
    if len({model.resolve() for model in models}) < len(models):
        raise MismatchError("a model is given twice: it would count as another seed")
    if len(models) != len(evaluated):
        raise MismatchError(f"{len(models)} models but {len(evaluated)} --evaluated; give one for each, in one order")
    on_train = {tuple(found.info.models): found.frames.accuracy for found in map(read_evaluated, fitted)}
    systems: dict[System, list[PartialRun]] = {}
    first: Evaluated | None = None
    for model, directory in zip(models, evaluated, strict=True):
        found = read_evaluated(directory)
        first = first or found
        if found.utterances != first.utterances or not np.array_equal(found.frames.num_frames, first.frames.num_frames):
            raise MismatchError(f"{directory}: of other labelled frames than {first.directory}")
        if found.info.of_other_labels(first.info):
            raise MismatchError(f"{directory}: scored on other labels than {first.directory}; evaluate it again")
        run = _read_run(model, found, on_train)
        systems.setdefault(run.system, []).append(run)
    return dict(sorted(systems.items(), key=lambda entry: -entry[0][1]))


def _read_run(model: Path, evaluated: Evaluated, on_train: Mapping[tuple[str, ...], float]) -> PartialRun:
    record = read_run(model)
    try:
        options = record["identity"]["options"]
        rows = [json.loads(line) for line in (model / METRICS_FILE).read_text().splitlines()]
        updates = -(-int(rows[-1]["frames"]) // int(options["batch_size"]))
        num_frames = int(rows[-1]["frames"])
        early = options.get("early_stopping", 0)
        fingerprint = record["checksums"][MODEL_FILE][:16]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"{model}: not a model of asr-kd train or distill ({error})") from error
    if list(evaluated.info.models) != [fingerprint]:
        raise MismatchError(
            f"{evaluated.directory} evaluates another model than {model}: give models and --evaluated in the same order"
        )
    looks = [row for row in rows if "dev_frame_accuracy" in row]
    # Early stopping went back to the first of the best epochs.
    final = max(looks, key=lambda row: row["dev_frame_accuracy"]) if early else looks[-1]
    curve = [
        {"updates": row["epoch"] * updates}
        | {f"{name}_{metric}": row[f"{name}_{metric}"] for name, metric in WATCHED if f"{name}_{metric}" in row}
        for row in looks
    ]
    fitted = on_train.get(tuple(evaluated.info.models), final.get("fitted_frame_accuracy"))
    return PartialRun(
        evaluated=evaluated,
        fraction=float(options.get("train_fraction", 1.0)),
        num_frames=num_frames,
        fitted_accuracy=fitted,
        curve=curve,
    )


def regularizer_results(
    systems: Mapping[System, Sequence[PartialRun]], *, full: str, hard: str, num_samples: int, seed: int
) -> dict[str, Any]:
    """Figures of all systems.

    For each: ``share_of_full`` is its test accuracy over that of the full data's, ``recovered`` how much it makes up
    of what hard targets lose on the same share, (system - hard) / (full - hard). Intervals hold two sources of
    chance: the test set, drawn again for all systems alike, and seeds, a draw of the error of each system's mean.

    Args:
        full: name of the system trained on all data.
        hard: name of that trained with hard targets, early stopping, on the shares.

    Raises:
        DataError: no such systems.
    """
    if (full, 1.0) not in systems:
        raise DataError(f"--full {full}: no such system on all data; there are {_names(systems)}")
    ratios = {
        system: (
            np.sum([run.evaluated.frames.num_correct for run in runs], axis=0),
            np.sum([run.evaluated.frames.num_frames for run in runs], axis=0),
        )
        for system, runs in systems.items()
    }
    rng = np.random.default_rng(seed)
    speakers = systems[full, 1.0][0].evaluated.speakers
    of_utterances = estimate_ratios(ratios, num_samples=num_samples, rng=rng, speakers=speakers)
    estimates = _with_seeds(systems, of_utterances, rng)
    facts = bootstrap_facts(num_samples=num_samples, seed=seed, speakers=speakers)
    if all(fraction == 1 for _, fraction in systems):
        raise DataError(f"no system was trained on a part of the data (--train-fraction); there are {_names(systems)}")
    first = systems[full, 1.0][0].evaluated
    for name, fraction in systems:
        if fraction < 1 and (hard, fraction) not in systems:
            raise DataError(f"--hard {hard}: not with the share {fraction} of {name}; there are {_names(systems)}")
    return {
        "num_pdfs": first.info.num_pdfs,
        "test_utterances": len(first.utterances),
        "test_frames": int(first.frames.num_frames.sum()),
        "bootstrap": facts | {"unit": f"{facts['unit']} and seed"},
        "full": full,
        "hard": hard,
        "systems": [_row(system, runs, estimates, full=full, hard=hard) for system, runs in systems.items()],
    }


def _with_seeds(
    systems: Mapping[System, Sequence[PartialRun]], estimates: Mapping[System, Estimate], rng: np.random.Generator
) -> dict[System, Estimate]:
    """The estimates, with the error of each mean over seeds in their samples."""
    found = dict(estimates)
    for fraction in {fraction for _, fraction in systems}:
        alike = {system: runs for system, runs in systems.items() if system[1] == fraction}
        drawn = _seed_errors(list(alike.values()), len(next(iter(estimates.values())).samples_B), rng)
        for system, errors_B in zip(alike, drawn, strict=True):
            found[system] = Estimate(estimates[system].value, estimates[system].samples_B + errors_B)
    return found


def _seed_errors(
    systems: Sequence[Sequence[PartialRun]], num_samples: int, rng: np.random.Generator
) -> Sequence[npt.NDArray[np.float64]]:
    """For each system of one share draws ``[B]`` of how far its mean over K seeds is from that over all seeds.

    Runs of one seed have drawn the same utterances, and one may be the beginning of another: what they share cancels
    in their differences. So the draws are of the multivariate t distribution with the seeds' own covariance, in which
    every system, difference and mean has its own paired t interval of K - 1 degrees of freedom.
    """
    accuracies = [[run.evaluated.frames.accuracy for run in runs] for runs in systems]
    seeds = {tuple(run.evaluated.info.seed for run in runs) for runs in systems}
    num_seeds = len(accuracies[0])
    if len(seeds) == 1 < num_seeds:
        matrix_SK = np.array(accuracies)
        own_SK = matrix_SK - matrix_SK.mean(axis=1, keepdims=True)
        scales_B = np.sqrt(num_seeds * rng.chisquare(num_seeds - 1, num_samples))
        return list(own_SK @ rng.standard_normal((num_seeds, num_samples)) / scales_B)
    deviation, freedom = seed_deviation(accuracies)
    if freedom == 0:
        return [np.zeros(num_samples) for _ in systems]
    return [deviation / math.sqrt(len(own)) * rng.standard_t(freedom, num_samples) for own in accuracies]


def _row(
    system: System, runs: Sequence[PartialRun], estimates: Mapping[System, Estimate], *, full: str, hard: str
) -> dict[str, Any]:
    name, fraction = system
    own, whole = estimates[system], estimates[full, 1.0]
    fitted = [run.fitted_accuracy for run in runs if run.fitted_accuracy is not None]
    accuracies = [run.evaluated.frames.accuracy for run in runs]
    row: dict[str, Any] = {
        "name": name,
        "fraction": fraction,
        "seeds": len(runs),
        "frames": round(float(np.mean([run.num_frames for run in runs]))),
        "updates": round(float(np.mean([run.curve[-1]["updates"] for run in runs]))),
        "train_frame_accuracy": float(np.mean(fitted)) if len(fitted) == len(runs) else None,
        "frame_accuracy": own.value,
        "frame_accuracy_ci": list(own.interval()),
        "frame_accuracy_std": float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
        "cross_entropy": float(np.mean([run.evaluated.frames.mean_cross_entropy for run in runs])),
        "dev_accuracy_fall": float(np.mean([_fall(run) for run in runs])),
        "dev_cross_entropy_rise": float(np.mean([_rise(run) for run in runs])),
        "curves": [list(run.curve) for run in runs],
        "share_of_full": None,
        "recovered": None,
    }
    if system == (full, 1.0):
        return row
    share = Estimate(own.value / whole.value, own.samples_B / whole.samples_B)
    row |= {"share_of_full": share.value, "share_of_full_ci": list(share.interval())}
    if fraction < 1 and name != hard:
        baseline = estimates[hard, fraction]
        low, _ = whole.minus(baseline).interval()
        gain = own.minus(baseline)
        row |= {"over_hard": gain.value, "over_hard_ci": list(gain.interval())}
        if low > 0:
            recovered = fraction_kept(baseline, whole, own)
            row |= {"recovered": recovered.value, "recovered_ci": list(recovered.interval())}
    return row


def _fall(run: PartialRun) -> float:
    """How far the dev set's accuracy fell from its highest to the last look."""
    watched = [point["dev_frame_accuracy"] for point in run.curve]
    return max(watched) - watched[-1]


def _rise(run: PartialRun) -> float:
    """How far the dev set's cross-entropy rose from its lowest to the last look."""
    watched = [point["dev_cross_entropy"] for point in run.curve]
    return watched[-1] - min(watched)


def _names(systems: Mapping[System, Any]) -> str:
    return ", ".join(f"{name} ({fraction:g})" for name, fraction in systems)
