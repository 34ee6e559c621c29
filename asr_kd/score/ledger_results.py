"""The figures of an ensemble ledger, each with its interval, as one dictionary: ``results.json``.

Legend: M members, U utterances, C columns of the ledger.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asr_kd.score.bootstrap import Estimate, bootstrap_facts, estimate_ratios
from asr_kd.score.ledger import FloatArray, Ledger, Subset, pairs
from asr_kd.score.results import fraction_kept

ACCURACY, COST = "frame_accuracy", "cross_entropy"
METRICS = (ACCURACY, COST)
MEANS = ("arithmetic", "geometric")
_HALVES = {ACCURACY: "correct", COST: "cost"}

Key = tuple[Any, ...]
Estimates = Mapping[Key, Estimate]


def build_ledger(
    sums: Ledger,
    subsets: Sequence[Subset],
    *,
    members: Sequence[str],
    students: Sequence[str],
    speakers: Sequence[str],
    num_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Turn sums over utterances into figures.

    Args:
        sums: one column for each utterance; those without a labelled frame do not count.
        subsets: those that ``sums`` holds, smallest first; the last one is all members.
        members: names, in the order of ``sums``.
        students: names, in the order of ``sums``; names that differ in a number at the end alone are seeds of one kind.
        speakers: of each utterance.
        num_samples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        JSON values as ``docs/formats.md`` lists them; what was scored is the caller's to add.
    """
    kinds = _kinds(students)
    labelled = [speaker for speaker, frames in zip(speakers, sums.num_frames[0], strict=True) if frames > 0]
    rng = np.random.default_rng(seed)
    estimates = estimate_ratios(_ratios(sums, subsets, kinds), num_samples=num_samples, rng=rng, speakers=labelled)
    mean, ensemble = ("size", "arithmetic", 1), ("size", "arithmetic", len(members))
    return {
        "labelled_frames": int(sums.num_frames.sum()),
        "utterances": int((sums.num_frames[0] > 0).sum()),
        "bootstrap": bootstrap_facts(num_samples=num_samples, seed=seed, speakers=labelled),
        "members": [{"name": name, **_scores(estimates, ("member", m))} for m, name in enumerate(members)],
        "mean_member": _scores(estimates, mean) | _spread(_each(sums, "member", range(len(members)))),
        "means": {
            "arithmetic": _scores(estimates, ensemble),
            "geometric": _scores(estimates, ("size", "geometric", len(members))),
            "logits": _scores(estimates, ("logits",)),
        },
        "gain": [_gain_row(sums, subsets, estimates, size) for size in range(1, len(members) + 1)],
        "disagreement": _disagreement(sums, estimates, len(members)),
        "right": {
            "by_members": [estimates["right_by", number].value for number in range(len(members) + 1)],
            **{name: _with_interval(estimates[name,]) for name in ("oracle", "all", "majority", "vote")},
        },
        "information": {name: _with_interval(estimates[name,]) for name in _information(sums)},
        "headroom": _headroom(estimates, mean, ensemble),
        "students": [_student_row(sums, estimates, kind, own, mean, ensemble) for kind, own in kinds.items()],
    }


def _kinds(students: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """Students by their name without the seed, each with its place in the ledger."""
    kinds: dict[str, list[tuple[int, str]]] = {}
    for place, name in enumerate(students):
        kinds.setdefault(re.sub(r"-\d+$", "", name), []).append((place, name))
    return kinds


def _ratios(
    sums: Ledger, subsets: Sequence[Subset], kinds: Mapping[str, Sequence[tuple[int, str]]]
) -> dict[Key, tuple[FloatArray, FloatArray]]:
    """Every figure of the ledger as two sums over the utterances that have a labelled frame."""
    rows: dict[Key, FloatArray] = {}
    for metric, half in _HALVES.items():
        for member, row in enumerate(getattr(sums, f"member_{half}")):
            rows["member", member, metric] = row
        for mean in MEANS:
            for size in sorted({len(subset) for subset in subsets}):
                own = [len(subset) == size for subset in subsets]
                rows["size", mean, size, metric] = getattr(sums, f"{mean}_{half}")[own].mean(axis=0)
        for kind, students in kinds.items():
            places = [place for place, _ in students]
            rows["student", kind, metric] = getattr(sums, f"student_{half}")[places].mean(axis=0)
        rows["logits", metric] = getattr(sums, f"logits_{half}")[0]
    for number, row in enumerate(sums.right_by):
        rows["right_by", number] = row
    num_members = len(sums.member_correct)
    rows["differing",] = sums.differing.mean(axis=0)
    rows["oracle",] = sums.right_by[1:].sum(axis=0)
    rows["all",] = sums.right_by[num_members]
    rows["majority",] = sums.right_by[num_members // 2 + 1 :].sum(axis=0)
    rows["vote",] = sums.vote_correct[0]
    rows |= {(name,): row for name, row in _information(sums).items()}
    labelled = sums.num_frames[0] > 0
    return {key: (row[labelled], sums.num_frames[0, labelled]) for key, row in rows.items()}


def _information(sums: Ledger) -> dict[str, FloatArray]:
    """Entropies and divergences by utterance, each [U].

    For the mean p of all members, mean KL(member || p) is the entropy of p less the members' mean entropy. For the
    geometric mean g, mean KL(g || member) is what g's cross-entropy is below the members' mean, frame by frame and
    whatever the label (Krogh & Vedelsby 1995; Heskes 1998 for log loss).
    """
    return {
        "ensemble_entropy": sums.ensemble_entropy[0],
        "member_entropy": sums.member_entropy[0],
        "members_to_mean": sums.ensemble_entropy[0] - sums.member_entropy[0],
        "mean_to_members": sums.left_to_teach[0],
        "geometric_to_members": sums.member_cost.mean(axis=0) - sums.geometric_cost[-1],
    }


def _gain_row(sums: Ledger, subsets: Sequence[Subset], estimates: Estimates, size: int) -> dict[str, Any]:
    """What ensembles of one size have over the mean member: mean over subsets, their spread, and each subset."""
    own = [len(subset) == size for subset in subsets]
    row: dict[str, Any] = {"members": size, "subsets": sum(own)}
    for mean in MEANS:
        row[mean] = _scores(estimates, ("size", mean, size))
        values = _each(sums, mean, own)
        row[mean] |= _spread(values) | {f"{metric}_of_subsets": found.tolist() for metric, found in values.items()}
        for metric in METRICS:
            gain = estimates["size", mean, size, metric].minus(estimates["size", mean, 1, metric])
            row[mean] |= _named(f"{metric}_gain", gain)
    return row


def _disagreement(sums: Ledger, estimates: Estimates, num_members: int) -> dict[str, Any]:
    matrix = np.zeros((num_members, num_members))
    for (one, other), row in zip(pairs(num_members), sums.differing, strict=True):
        matrix[one, other] = matrix[other, one] = row.sum() / sums.num_frames.sum()
    return _with_interval(estimates["differing",]) | {"matrix": matrix.tolist()}


def _headroom(estimates: Estimates, mean: Key, ensemble: Key) -> dict[str, Any]:
    """What the ensemble has over the mean member, and the oracle over the ensemble."""
    found: dict[str, Any] = {}
    for metric in METRICS:
        found |= _named(f"{metric}_gain", estimates[_of(ensemble, metric)].minus(estimates[_of(mean, metric)]))
    beyond = estimates["oracle",].minus(estimates[_of(ensemble, ACCURACY)])
    return found | _named("oracle_over_ensemble", beyond)


def _student_row(
    sums: Ledger, estimates: Estimates, kind: str, own: Sequence[tuple[int, str]], mean: Key, ensemble: Key
) -> dict[str, Any]:
    """A kind of student: the mean over its seeds, and which share of the ensemble's gain it has."""
    places = [place for place, _ in own]
    values = _each(sums, "student", places)
    row: dict[str, Any] = {"name": kind, "seeds": len(own), **_scores(estimates, ("student", kind)), **_spread(values)}
    row["reason"] = {}
    for metric in METRICS:
        before, after = estimates[_of(mean, metric)], estimates[_of(ensemble, metric)]
        gain = after.minus(before)
        low, high = gain.interval()
        better = low > 0 if metric == ACCURACY else high < 0
        if not better:
            row[f"{metric}_share"] = row[f"{metric}_share_ci"] = row[f"{metric}_share_std"] = None
            row["reason"][metric] = f"the ensemble's gain in {metric.replace('_', ' ')} is not above noise"
            continue
        row |= _named(f"{metric}_share", fraction_kept(before, after, estimates["student", kind, metric]))
        spread = row[f"{metric}_std"]
        row[f"{metric}_share_std"] = None if spread is None else spread / abs(gain.value)
    row["runs"] = [
        {"name": name, **{metric: float(found[place]) for metric, found in values.items()}}
        for place, (_, name) in enumerate(own)
    ]
    return row


def _scores(estimates: Estimates, key: Key) -> dict[str, Any]:
    """Frame accuracy and cross-entropy with their intervals."""
    found: dict[str, Any] = {}
    for metric in METRICS:
        found |= _named(metric, estimates[_of(key, metric)])
    return found


def _each(sums: Ledger, of: str, rows: Sequence[int] | Sequence[bool]) -> dict[str, FloatArray]:
    """Both metrics of single members, students or subsets."""
    total = sums.num_frames.sum()
    return {metric: getattr(sums, f"{of}_{half}")[list(rows)].sum(axis=1) / total for metric, half in _HALVES.items()}


def _spread(values: Mapping[str, FloatArray]) -> dict[str, float | None]:
    """Standard deviation of each metric, with n - 1; None for a single value."""
    return {f"{metric}_std": float(found.std(ddof=1)) if len(found) > 1 else None for metric, found in values.items()}


def _of(key: Key, metric: str) -> Key:
    return *key, metric


def _named(name: str, estimate: Estimate) -> dict[str, Any]:
    return {name: estimate.value, f"{name}_ci": list(estimate.interval())}


def _with_interval(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "ci": list(estimate.interval())}
