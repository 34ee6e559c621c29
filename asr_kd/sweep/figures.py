"""From every student's frame counts to the figures of every cell: means, spreads, intervals, what is within noise.

Legend: U utterances, B resampled sets.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from asr_kd.score.bootstrap import Estimate, bootstrap_facts, estimate_ratios, seed_deviation
from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.sweep.grid import DIMENSIONS, SETS, Cell

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One cell's students.

    Attributes:
        counts: frame counts of each student, in the order of the seeds, by the name of the set (dev, test).
        speakers: of each utterance of a set, where they are known.
    """

    cell: Cell
    seeds: tuple[int, ...]
    counts: Mapping[str, Sequence[FrameCounts]]
    speakers: Mapping[str, Sequence[str]] = field(default_factory=dict)


def sweep_results(evaluated: Sequence[Evaluated], *, num_samples: int, seed: int) -> dict[str, Any]:
    """The figures of a sweep as JSON values; ``docs/formats.md`` lists them.

    The best cell is that of the highest mean frame accuracy on dev. A width is a budget and not a choice, so each has
    its own best cell, which the others of the width are compared with. Whether one is within noise of it is asked of
    the interval of their difference on dev. Two sources of chance are in it: the utterances, by a bootstrap that draws
    the same ones for all cells, and the seeds, by adding to each drawn difference a draw of the error of a difference
    between two means over seeds (Student's t; the variance between seeds is pooled over the cells of a width, since
    the two or three seeds of one cell say little of it).

    Args:
        num_samples: B, bootstrap samples.
        seed: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    estimates = {of: _accuracy(evaluated, of, num_samples, rng) for of in SETS}
    best = _best_of_width(estimates["dev"])
    rows = []
    for one in evaluated:
        rival = best[one.cell.hidden_dim]
        like = [other for other in evaluated if other.cell.hidden_dim == one.cell.hidden_dim]
        sets = {}
        for of in SETS:
            below = estimates[of][rival].minus(estimates[of][one.cell])
            if one.cell != rival:
                below = Estimate(below.value, below.samples_B + _seed_errors(like, of, num_samples, rng))
            sets[of] = _set_row(one.counts[of], estimates[of][one.cell], below)
        rows.append(
            asdict(one.cell)
            | {"seeds": len(one.seeds), **sets, "test_errors": sets["test"]["errors"]}
            | {"best": one.cell == rival, "within_noise": sets["dev"]["below_best_ci"][0] <= 0}
            | {"runs": _run_rows(one)}
        )
    return {
        "dimensions": {name: sorted({getattr(one.cell, name) for one in evaluated}) for name in DIMENSIONS},
        "seeds": list(evaluated[0].seeds),
        "frames": {of: int(counts[0].num_frames.sum()) for of, counts in evaluated[0].counts.items()},
        "utterances": {of: len(counts[0].num_frames) for of, counts in evaluated[0].counts.items()},
        "bootstrap": bootstrap_facts(
            num_samples=num_samples, seed=seed, speakers=evaluated[0].speakers.get("test", ())
        ),
        "best": asdict(max(best.values(), key=lambda cell: estimates["dev"][cell].value)),
        "cells": rows,
    }


def _best_of_width(accuracy: Mapping[Cell, Estimate]) -> dict[int, Cell]:
    found: dict[int, Cell] = {}
    for cell in sorted(accuracy, key=lambda cell: accuracy[cell].value):
        found[cell.hidden_dim] = cell
    return found


def _accuracy(
    evaluated: Sequence[Evaluated], of: str, num_samples: int, rng: np.random.Generator
) -> dict[Cell, Estimate]:
    """Mean frame accuracy over a cell's seeds, on the same resampled utterances for all cells."""
    ratios = {
        one.cell: (
            np.sum([counts.num_correct for counts in one.counts[of]], axis=0),
            np.sum([counts.num_frames for counts in one.counts[of]], axis=0),
        )
        for one in evaluated
    }
    return estimate_ratios(ratios, num_samples=num_samples, rng=rng, speakers=evaluated[0].speakers.get(of, ()))


def _seed_errors(evaluated: Sequence[Evaluated], of: str, num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Draws ``[B]`` of how far a difference between two of these cells' means over seeds is from that over all seeds.

    Zeros where there is one seed, which cannot tell.
    """
    deviation, freedom = seed_deviation([counts.accuracy for counts in one.counts[of]] for one in evaluated)
    if freedom == 0:
        return np.zeros(num_samples)
    num_seeds = len(evaluated[0].seeds)
    return np.asarray(deviation * math.sqrt(2 / num_seeds) * rng.standard_t(freedom, num_samples))


def _set_row(counts: Sequence[FrameCounts], accuracy: Estimate, below: Estimate) -> dict[str, Any]:
    wrong = [int(one.num_frames.sum() - one.num_correct.sum()) for one in counts]
    return {
        "frame_accuracy": accuracy.value,
        "frame_accuracy_std": _spread([one.accuracy for one in counts]),
        "frame_accuracy_ci": list(accuracy.interval()),
        "cross_entropy": float(np.mean([one.mean_cross_entropy for one in counts])),
        "errors": float(np.mean(wrong)),
        "errors_std": _spread(wrong),
        "below_best": below.value,
        "below_best_ci": list(below.interval()),
    }


def _run_rows(one: Evaluated) -> list[dict[str, Any]]:
    return [
        {"seed": seed}
        | {f"{of}_frame_accuracy": counts[place].accuracy for of, counts in one.counts.items()}
        | {
            f"{of}_errors": int((counts[place].num_frames - counts[place].num_correct).sum())
            for of, counts in one.counts.items()
        }
        for place, seed in enumerate(one.seeds)
    ]


def _spread(values: Sequence[float]) -> float | None:
    """Standard deviation over seeds, with n - 1; None for a single seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
