"""What specialists add to a generalist as one dictionary: ``results.json``.

Legend: N frames, U utterances, P pdfs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr_kd.frames.store import FrameStore
from asr_kd.score.bootstrap import Estimate, bootstrap_facts, estimate_ratios
from asr_kd.score.frame_results import over_others
from asr_kd.specialists.scoring import GENERALIST, Scores, System, TeamScores, utterance_sums
from asr_kd.specialists.specialist import Specialist

MOST_COVERED = 10  # covered by so many or more: one row, as in the paper's table 4


@dataclass(frozen=True)
class Scored:
    """A set of labelled frames and the team's scores on it.

    Attributes:
        frames: where they come from, for the report.
        labels_N: pdf ids, -1 where a frame has none or was not scored.
    """

    frames: str
    store: FrameStore
    labels_N: np.ndarray
    team: TeamScores


def build_results(
    test: Scored,
    dev: Scored,
    train: Scored | None,
    specialists: Mapping[str, Sequence[Specialist]],
    *,
    num_models: Mapping[str, int],
    distilled: System | None = None,
    clusters: Mapping[str, Any] | None = None,
    num_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Compare all systems on test; which fusion counts is chosen on dev.

    Args:
        train: part of the training frames, to show over-fitting, or None.
        specialists: those of each kind.
        num_models: networks that run for a frame, by system.
        distilled: the fusion that students learnt from; None where it was not told, or there were none.
        clusters: what was clustered: ``matrix`` and ``temperature`` of the predictions; None where it was not told.
        num_samples: bootstrap samples, the same ones for all systems.
        seed: of the bootstrap.
    """
    chosen = choose_fusion(dev)
    rng = np.random.default_rng(seed)
    return {
        "num_pdfs": len(coverage_of_states(specialists[chosen.name])),
        "test": _facts(test),
        "dev": _facts(dev),
        "bootstrap": bootstrap_facts(num_samples=num_samples, seed=seed, speakers=test.store.index.speakers),
        "chosen_on_dev": _fusion(chosen),
        "distilled": None if distilled is None else _fusion(distilled),
        "clusters": None if clusters is None else dict(clusters),
        "systems": _system_rows(test, dev, chosen, num_models, num_samples=num_samples, rng=rng),
        "coverage": _coverage_rows(test, chosen, specialists[chosen.name], num_samples=num_samples, rng=rng),
        "specialists": [
            row
            for kind, members in specialists.items()
            for row in _specialist_rows(test, train, chosen, kind, members, num_samples=num_samples, rng=rng)
        ],
    }


def choose_fusion(dev: Scored) -> System:
    """The kind of specialists and n with the highest frame accuracy on dev; of equals the smallest n."""
    fusions = [system for system in dev.team.systems if system.num_best]
    return max(fusions, key=lambda system: (dev.team.systems[system].correct_N.sum(), -system.num_best))


def coverage_of_states(specialists: Sequence[Specialist]) -> np.ndarray:
    """How many specialists each state is covered by, ``[P]``."""
    return np.asarray(np.sum([specialist.subset.mask() for specialist in specialists], axis=0))


def _fusion(system: System) -> dict[str, Any]:
    return {"name": system.name, "num_best": system.num_best}


def _facts(scored: Scored) -> dict[str, Any]:
    return {
        "frames": scored.frames,
        "utterances": len(scored.store.index.utterances),
        "labelled_frames": int((scored.labels_N >= 0).sum()),
    }


def _system_rows(
    test: Scored,
    dev: Scored,
    chosen: System,
    num_models: Mapping[str, int],
    *,
    num_samples: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Each system's figures, its gain over the generalist, the chosen fusion's over it, and its own over the others."""
    rows = _rows_of(test.team)
    labelled_N = test.labels_N >= 0
    frames_U = utterance_sums(test.store, labelled_N)
    correct = {
        row: np.mean([utterance_sums(test.store, test.team.systems[run].correct_N) for run in runs], axis=0)
        for row, runs in rows.items()
    }
    ratios = {row: (correct_U, frames_U) for row, correct_U in correct.items()}
    estimates = estimate_ratios(ratios, num_samples=num_samples, rng=rng, speakers=test.store.index.speakers)
    plain = {name: estimate for (name, num_best), estimate in estimates.items() if not num_best}
    base, best = estimates[GENERALIST, 0], estimates[chosen.name, chosen.num_best]
    found = []
    for (name, num_best), runs in rows.items():
        own = estimates[name, num_best]
        accuracies = [_accuracy(test.team.systems[run], labelled_N) for run in runs]
        gain, behind = own.minus(base), best.minus(own)
        found.append(
            {
                "name": name,
                "num_best": num_best or None,
                "runs": len(runs),
                "models": num_models[name],
                "dev_frame_accuracy": np.mean([_accuracy(dev.team.systems[r], dev.labels_N >= 0) for r in runs]),
                "frame_accuracy": own.value,
                "frame_accuracy_ci": own.interval(),
                "frame_accuracy_std": float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
                "gain": gain.value,
                "gain_ci": gain.interval(),
                "chosen_over_it": behind.value,
                "chosen_over_it_ci": behind.interval(),
                "over": {} if num_best else over_others(name, plain),
                "cross_entropy": np.mean([_nats(test.team.systems[run], labelled_N) for run in runs]),
            }
        )
    return found


def _coverage_rows(
    test: Scored, chosen: System, specialists: Sequence[Specialist], *, num_samples: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """The paper's table 4: accuracy by the number of specialists that cover the correct state."""
    covered_P = np.minimum(coverage_of_states(specialists), MOST_COVERED)
    covered_N = np.where(test.labels_N >= 0, covered_P[test.labels_N], -1)
    found = []
    for number in np.unique(covered_P).tolist():
        of_these_N = covered_N == number
        if not of_these_N.any():
            continue
        before, after = _pair(test, chosen, of_these_N, num_samples=num_samples, rng=rng)
        relative = _relative(after, before)
        found.append(
            {
                "specialists": number,
                "states": int((covered_P == number).sum()),
                "frames": int(of_these_N.sum()),
                "generalist": before.value,
                "fused": after.value,
                "gain_ci": after.minus(before).interval(),
                "relative_change": relative and relative.value,
                "relative_change_ci": relative and relative.interval(),
            }
        )
    return found


def _specialist_rows(
    test: Scored,
    train: Scored | None,
    chosen: System,
    kind: str,
    specialists: Sequence[Specialist],
    *,
    num_samples: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Of each specialist: accuracy on frames of its subset, fused and by itself, and its cross-entropy."""
    fusion = System(kind, chosen.num_best)
    found = []
    for number, specialist in enumerate(specialists):
        inside_P = specialist.subset.mask()
        inside_N = (test.labels_N >= 0) & inside_P[test.labels_N]
        row = {
            "kind": kind,
            "path": str(specialist.path),
            "states": len(specialist.subset.pdfs),
            "oversampling": specialist.meta["oversampling"],
            "share_of_frames": float(inside_N.sum() / (test.labels_N >= 0).sum()),
            **_fused(test, fusion, inside_N, num_samples=num_samples, rng=rng),
            "test": _alone(test, kind, number, inside_N),
        }
        if train is not None:
            row["train"] = _alone(train, kind, number, (train.labels_N >= 0) & inside_P[train.labels_N])
        found.append(row)
    return found


def _fused(
    test: Scored, fusion: System, inside_N: np.ndarray, *, num_samples: int, rng: np.random.Generator
) -> dict[str, Any]:
    """A fusion against the generalist on frames of a specialist's states; None where the test set has none of them."""
    if not inside_N.any():
        return {"generalist": None, "fused": None, "gain_ci": None}
    before, fused = _pair(test, fusion, inside_N, num_samples=num_samples, rng=rng)
    return {"generalist": before.value, "fused": fused.value, "gain_ci": fused.minus(before).interval()}


def _alone(scored: Scored, kind: str, number: int, inside_N: np.ndarray) -> dict[str, float | None]:
    """A specialist by itself against the generalist over the same classes: of its states, and dustbin and all."""
    before, after = scored.team.before[kind, number], scored.team.alone[kind, number]
    labelled_N = scored.labels_N >= 0
    found = {
        "accuracy_inside_before": _accuracy(before, inside_N),
        "accuracy_inside_after": _accuracy(after, inside_N),
        "accuracy_before": _accuracy(before, labelled_N),
        "accuracy_after": _accuracy(after, labelled_N),
        "cross_entropy_before": _nats(before, labelled_N),
        "cross_entropy_after": _nats(after, labelled_N),
    }
    return {name: None if np.isnan(value) else value for name, value in found.items()}


def _pair(
    test: Scored, fusion: System, of_these_N: np.ndarray, *, num_samples: int, rng: np.random.Generator
) -> tuple[Estimate, Estimate]:
    """Accuracy on some frames, of the generalist and of a fusion."""
    frames_U = utterance_sums(test.store, of_these_N)
    ratios = {
        system: (utterance_sums(test.store, test.team.systems[system].correct_N & of_these_N), frames_U)
        for system in (System(GENERALIST), fusion)
    }
    estimates = estimate_ratios(ratios, num_samples=num_samples, rng=rng, speakers=test.store.index.speakers)
    return estimates[System(GENERALIST)], estimates[fusion]


def _relative(after: Estimate, before: Estimate) -> Estimate | None:
    """None where the generalist has no frame right, or none in some of the drawn test sets."""
    if not before.value or not before.samples_B.all():
        return None
    return Estimate(after.value / before.value - 1, after.samples_B / before.samples_B - 1)


def _rows_of(team: TeamScores) -> dict[tuple[str, int], list[System]]:
    """The runs of each row of the table."""
    rows: dict[tuple[str, int], list[System]] = {}
    for system in team.systems:
        rows.setdefault((system.name, system.num_best), []).append(system)
    return rows


def _accuracy(scores: Scores, of_these_N: np.ndarray) -> float:
    return float(scores.correct_N[of_these_N].mean()) if of_these_N.any() else float("nan")


def _nats(scores: Scores, of_these_N: np.ndarray) -> float:
    return float(scores.cross_entropy_N[of_these_N].mean()) if of_these_N.any() else float("nan")
