"""What an ensemble's members make of every labelled frame, alone and averaged, summed utterance by utterance.

Legend: M members, S students, K subsets of members, B frames of a batch, P pdfs, U utterances, C columns: frames of a
batch, or the utterances over which frames were summed.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Subset = tuple[int, ...]

MOST_SUBSETS = 30  # of one size


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Sums over frames, one column a frame or an utterance. ``correct`` counts frames, ``cost`` is -log p(label).

    Costs, entropies and divergences are in nats at temperature 1.

    Attributes:
        num_frames: labelled frames, [1, C].
        member_correct, member_cost: of each member, [M, C].
        student_correct, student_cost: of each student, [S, C].
        arithmetic_correct, arithmetic_cost: of the arithmetic mean of each subset of members, [K, C].
        geometric_correct, geometric_cost: of the geometric mean, [K, C].
        logits_correct, logits_cost: of the softmax of the mean of all members' logits, [1, C].
        differing: frames that two members decide differently, for each pair in the order of `pairs`, [pairs, C].
        right_by: frames that exactly 0, 1, ... M members get right, [M + 1, C].
        vote_correct: frames that a vote of the members' decisions gets right; a tie counts as the share that drawing
            lots would give, [1, C].
        ensemble_entropy: of the arithmetic mean p of all members, [1, C].
        member_entropy: mean over members, [1, C].
        left_to_teach: KL(p || member), mean over members, [1, C].
    """

    num_frames: FloatArray
    member_correct: FloatArray
    member_cost: FloatArray
    student_correct: FloatArray
    student_cost: FloatArray
    arithmetic_correct: FloatArray
    arithmetic_cost: FloatArray
    geometric_correct: FloatArray
    geometric_cost: FloatArray
    logits_correct: FloatArray
    logits_cost: FloatArray
    differing: FloatArray
    right_by: FloatArray
    vote_correct: FloatArray
    ensemble_entropy: FloatArray
    member_entropy: FloatArray
    left_to_teach: FloatArray


def member_subsets(num_members: int, *, seed: int) -> list[Subset]:
    """Subsets of 1, 2, ... all members, in this order: all of a size, or a draw of `MOST_SUBSETS` where there are more.

    All members alone and all of them together are always there.
    """
    most = max(MOST_SUBSETS, num_members)
    rng = np.random.default_rng(seed)
    found: list[Subset] = []
    for size in range(1, num_members + 1):
        if math.comb(num_members, size) <= most:
            found += itertools.combinations(range(num_members), size)
            continue
        drawn: set[Subset] = set()
        while len(drawn) < most:
            drawn.add(tuple(sorted(rng.choice(num_members, size, replace=False).tolist())))
        found += sorted(drawn)
    return found


def pairs(num_members: int) -> list[tuple[int, int]]:
    """All pairs of members, in the order of `Ledger.differing`."""
    return list(itertools.combinations(range(num_members), 2))


def frame_ledger(
    logits_MBP: npt.ArrayLike,
    labels_B: npt.ArrayLike,
    subsets: Sequence[Subset],
    *,
    student_logits_SBP: npt.ArrayLike | None = None,
) -> Ledger:
    """The ledger of a batch of labelled frames, a column for each.

    Args:
        logits_MBP: the members' logits.
        labels_B: pdf ids, all of them 0 or above.
        subsets: of the members; the last one is all of them.
        student_logits_SBP: logits of students that are scored beside.
    """
    v_MBP = np.asarray(logits_MBP, dtype=np.float32)
    y_B = np.asarray(labels_B)
    logp_MBP = _log_softmax(v_MBP)
    p_MBP = np.exp(logp_MBP)
    own_MB = _at(logp_MBP, y_B)
    choice_MB = v_MBP.argmax(axis=2)
    right_MB = choice_MB == y_B
    student_SBP = np.asarray([] if student_logits_SBP is None else student_logits_SBP, dtype=np.float32)
    student_SBP = student_SBP.reshape(-1, *v_MBP.shape[1:])
    mean_logits_BP = v_MBP.mean(axis=0)
    right_by = np.arange(len(v_MBP) + 1)[:, None] == right_MB.sum(axis=0)
    columns = {
        "num_frames": np.ones((1, len(y_B))),
        "member_correct": right_MB,
        "member_cost": -own_MB,
        "student_correct": student_SBP.argmax(axis=2) == y_B,
        "student_cost": -_at(_log_softmax(student_SBP), y_B),
        **_subset_columns(logp_MBP, p_MBP, own_MB, y_B, subsets),
        "logits_correct": mean_logits_BP[None].argmax(axis=2) == y_B,
        "logits_cost": -_at(_log_softmax(mean_logits_BP[None]), y_B),
        "differing": [choice_MB[one] != choice_MB[other] for one, other in pairs(len(v_MBP))],
        "right_by": right_by,
        "vote_correct": _vote_correct(choice_MB, right_MB)[None],
        **_divergences(logp_MBP, p_MBP),
    }
    return Ledger(**{name: np.asarray(value, dtype=np.float64) for name, value in columns.items()})


def sum_by_utterance(batches: Iterable[tuple[npt.NDArray[np.int64], Ledger]], num_utterances: int) -> Ledger:
    """Sum frames over their utterances.

    Args:
        batches: the utterance's number of each frame, not falling [B], and the frames' ledger. At least one frame.
        num_utterances: U.
    """
    totals: dict[str, FloatArray] = {}
    for utterances_B, ledger in batches:
        if not len(utterances_B):
            continue
        starts = np.flatnonzero(np.diff(utterances_B, prepend=-1))
        for field in dataclasses.fields(Ledger):
            values = getattr(ledger, field.name)
            total = totals.setdefault(field.name, np.zeros((len(values), num_utterances)))
            total[:, utterances_B[starts]] += np.add.reduceat(values, starts, axis=1)
    return Ledger(**totals)


def _subset_columns(
    logp_MBP: npt.NDArray[np.float32],
    p_MBP: npt.NDArray[np.float32],
    own_MB: FloatArray,
    y_B: npt.NDArray[Any],
    subsets: Sequence[Subset],
) -> dict[str, list[npt.NDArray[Any]]]:
    """Both means of every subset. One subset at a time: its ``[B, P]`` stays in the processor's cache."""
    names = ("arithmetic_correct", "arithmetic_cost", "geometric_correct", "geometric_cost")
    found: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
    for subset in subsets:
        members = list(subset)
        mean_BP = reduce(np.add, (p_MBP[member] for member in members))
        geometric_BP = reduce(np.add, (logp_MBP[member] for member in members)) / np.float32(len(members))
        log_norm_B = np.log(np.exp(geometric_BP).sum(axis=1, dtype=np.float64))
        found["arithmetic_correct"].append(mean_BP.argmax(axis=1) == y_B)
        found["arithmetic_cost"].append(math.log(len(members)) - np.logaddexp.reduce(own_MB[members], axis=0))
        found["geometric_correct"].append(geometric_BP.argmax(axis=1) == y_B)
        found["geometric_cost"].append(log_norm_B - own_MB[members].mean(axis=0))
    return found


def _divergences(
    logp_MBP: npt.NDArray[np.float32], p_MBP: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float64]]:
    mean_BP = p_MBP.mean(axis=0)
    log_mean_BP = np.log(np.maximum(mean_BP, np.finfo(np.float32).tiny))
    entropy_B = -(mean_BP * log_mean_BP).sum(axis=1, dtype=np.float64)
    cross_B = -(mean_BP * logp_MBP.mean(axis=0)).sum(axis=1, dtype=np.float64)
    member_entropy_B = -(p_MBP * logp_MBP).sum(axis=2, dtype=np.float64).mean(axis=0)
    return {
        "ensemble_entropy": entropy_B[None],
        "member_entropy": member_entropy_B[None],
        "left_to_teach": (cross_B - entropy_B)[None],
    }


def _vote_correct(choice_MB: npt.NDArray[np.int64], right_MB: npt.NDArray[np.bool_]) -> FloatArray:
    """Whether most decisions are the label; where several classes have most votes, one over their number. [B]"""
    votes_MB = (choice_MB[:, None] == choice_MB[None]).sum(axis=0)
    most_B = votes_MB.max(axis=0)
    # Each class with most votes was chosen by as many members as it has votes.
    tied_B = (votes_MB == most_B).sum(axis=0) / most_B
    won: FloatArray = (right_MB.sum(axis=0) == most_B) / tied_B
    return won


def _log_softmax(v_MBP: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if not v_MBP.size:
        return v_MBP
    shifted = v_MBP - v_MBP.max(axis=2, keepdims=True)
    found: npt.NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))
    return found


def _at(logp_MBP: npt.NDArray[np.float32], y_B: npt.NDArray[Any]) -> FloatArray:
    """Each frame's entry for its label, [M, B]."""
    return np.take_along_axis(logp_MBP, y_B[None, :, None], axis=2)[..., 0].astype(np.float64)
