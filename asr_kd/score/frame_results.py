"""Evaluated systems against each other in frames alone: ``results.json`` of `asr-kd score-frames`, and its page.

For an image a frame is the whole image, and 10,000 times (1 - frame accuracy) the errors of MNIST's test set.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.errors import DataError, MismatchError
from asr_kd.score.bootstrap import Estimate, bootstrap_facts, drawn_units, estimate_ratios
from asr_kd.score.evaluated import Evaluated, read_evaluated
from asr_kd.score.markdown import table
from asr_kd.score.origin import name_of, remade_by
from asr_kd.score.results import fraction_kept

MOST_CLASSES_SHOWN = 20


def load_evaluated(directories: Sequence[Path]) -> dict[str, list[Evaluated]]:
    """Evaluated runs by the name of their system, which are alike but for their seed.

    Raises:
        DataError: a directory is unreadable.
        MismatchError: runs of other frames, or a system with runs of other shapes.
    """
    runs = [read_evaluated(directory) for directory in directories]
    systems: dict[str, list[Evaluated]] = {}
    for run in runs:
        if run.utterances != runs[0].utterances or not np.array_equal(run.frames.num_frames, runs[0].frames.num_frames):
            raise MismatchError(f"{run.directory}: of other labelled frames than {runs[0].directory}")
        if run.info.of_other_labels(runs[0].info):
            raise MismatchError(f"{run.directory}: scored on other labels than {runs[0].directory}; evaluate it again")
        like = systems.setdefault(run.info.name, [])
        if like and (run.info.params, run.info.members) != (like[0].info.params, like[0].info.members):
            raise MismatchError(f"{run.directory}: another shape than {like[0].directory}, name one of them otherwise")
        like.append(run)
    return systems


def frame_results(
    systems: Mapping[str, Sequence[Evaluated]], *, baseline: str, teacher: str, num_samples: int, seed: int
) -> dict[str, Any]:
    """Figures of all systems, and what each keeps of the teacher's gain over the baseline.

    Args:
        baseline: name of the system without distillation.
        teacher: name of the system that was distilled.

    Raises:
        DataError: one of these two is not among the systems.
    """
    for role, name in (("--baseline", baseline), ("--teacher", teacher)):
        if name not in systems:
            raise DataError(f"{role} {name}: no such system; there are {', '.join(systems)}")
    ratios = {
        name: (
            np.sum([run.frames.num_correct for run in runs], axis=0),
            np.sum([run.frames.num_frames for run in runs], axis=0),
        )
        for name, runs in systems.items()
    }
    first = next(iter(systems.values()))[0]
    rng = np.random.default_rng(seed)
    estimates = estimate_ratios(ratios, num_samples=num_samples, rng=rng, speakers=first.speakers)
    gain = estimates[teacher].minus(estimates[baseline])
    return {
        "num_pdfs": first.info.num_pdfs,
        "test_utterances": len(first.utterances),
        "test_frames": int(first.frames.num_frames.sum()),
        "bootstrap": bootstrap_facts(num_samples=num_samples, seed=seed, speakers=first.speakers),
        "baseline": baseline,
        "teacher": teacher,
        "teacher_gain": {"frame_accuracy": gain.value, "frame_accuracy_ci": list(gain.interval())},
        "systems": [
            _row(name, runs, estimates[name])
            | _kept(name, estimates, baseline, teacher)
            | {"over": over_others(name, estimates)}
            for name, runs in sorted(systems.items(), key=lambda system: (system[0] != teacher, system[0] != baseline))
        ],
    }


def over_others(name: str, accuracies: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    """A system's frame accuracy less that of each other one, with the paired interval: both on the same frames."""
    found = {}
    for other, accuracy in accuracies.items():
        if other != name:
            over = accuracies[name].minus(accuracy)
            found[other] = {"frame_accuracy": over.value, "frame_accuracy_ci": list(over.interval())}
    return found


def render_frames(results: Mapping[str, Any]) -> str:
    """The page ``RESULTS.md``."""
    systems = results["systems"]
    header = ["system", "parameters", "seeds", "wrong frames", "frame accuracy, %", "cross-entropy", "gain kept, %"]
    rows = [
        [
            system["name"],
            f"{system['params']:,}",
            str(system["seeds"]),
            with_spread(system["errors"], system["errors_std"], "{:.1f}"),
            f"{100 * system['frame_accuracy']:.2f} {_interval(system['frame_accuracy_ci'])}",
            f"{system['cross_entropy']:.4f}",
            "-" if system["kept"] is None else f"{100 * system['kept']:.0f} {_interval(system['kept_ci'], '{:.0f}')}",
        ]
        for system in systems
    ]
    lines = [
        "# " + ": ".join(filter(None, (name_of(results), results["title"]))),
        "",
        f"Written by `asr-kd score-frames` from the runs themselves: {results['test_frames']:,} labelled test frames "
        f"of {results['test_utterances']:,} utterances, {results['num_pdfs']} classes. {remade_by(results)}",
        "",
        table(header, rows),
        "",
        "Wrong frames are the mean over seeds, `±` the standard deviation over them. `[ , ]` are 95 % intervals: a",
        f"bootstrap over {drawn_units(results['bootstrap'])}, the same ones for every system. Gain kept is (system - "
        f"{results['baseline']}) / ({results['teacher']} - {results['baseline']}).",
    ]
    gain = results["teacher_gain"]
    if gain["frame_accuracy_ci"][0] <= 0:
        lines += [
            "",
            f"No gain kept is given: {results['teacher']} is not better than {results['baseline']} beyond chance, its "
            f"gain is {100 * gain['frame_accuracy']:+.2f} points {_interval(gain['frame_accuracy_ci'])}.",
        ]
    if results["num_pdfs"] <= MOST_CLASSES_SHOWN:
        lines += ["", "Wrong frames of each class, mean over seeds:", "", _class_table(results)]
    return "\n".join(lines) + "\n"


def with_spread(value: float, spread: float | None, form: str) -> str:
    """A mean and its standard deviation over seeds, where there is one."""
    return form.format(value) if spread is None else f"{form.format(value)} ± {form.format(spread)}"


def _row(name: str, runs: Sequence[Evaluated], accuracy: Estimate) -> dict[str, Any]:
    errors = [run.num_errors for run in runs]
    by_class = np.mean([run.classes_P3[:, 0] - run.classes_P3[:, 1] for run in runs], axis=0)
    return {
        "name": name,
        "members": runs[0].info.members,
        "params": runs[0].info.params,
        "conf": runs[0].info.conf,
        "seeds": len(runs),
        "frame_accuracy": accuracy.value,
        "frame_accuracy_ci": list(accuracy.interval()),
        "frame_accuracy_std": _std([run.frames.accuracy for run in runs]),
        "cross_entropy": float(np.mean([run.frames.mean_cross_entropy for run in runs])),
        "errors": float(np.mean(errors)),
        "errors_std": _std(errors),
        "errors_of_class": by_class.tolist(),
        "frames_of_class": runs[0].classes_P3[:, 0].tolist(),
        "runs": [
            {"seed": run.info.seed, "frame_accuracy": run.frames.accuracy, "errors": run.num_errors} for run in runs
        ],
    }


def _kept(name: str, estimates: Mapping[str, Estimate], baseline: str, teacher: str) -> dict[str, Any]:
    """A share of the gain, where the teacher has one: all of its interval is above 0."""
    low, _ = estimates[teacher].minus(estimates[baseline]).interval()
    if name in (baseline, teacher) or low <= 0:
        return {"kept": None, "kept_ci": None}
    fraction = fraction_kept(estimates[baseline], estimates[teacher], estimates[name])
    return {"kept": fraction.value, "kept_ci": list(fraction.interval())}


def _class_table(results: Mapping[str, Any]) -> str:
    systems = results["systems"]
    frames = systems[0]["frames_of_class"]
    header = ["system", *map(str, range(len(frames)))]
    rows = [["(frames)", *map(str, frames)]]
    rows += [[system["name"], *(f"{errors:.1f}" for errors in system["errors_of_class"])] for system in systems]
    return table(header, rows)


def _interval(ci: Sequence[float], form: str = "{:.2f}") -> str:
    return f"[{form.format(100 * ci[0])}, {form.format(100 * ci[1])}]"


def _std(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
