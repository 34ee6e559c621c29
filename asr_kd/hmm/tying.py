"""Tie states in context: one decision tree for each phone state, grown over phone questions.

Young, Odell & Woodland, "Tree-based state tying for high accuracy acoustic modelling" (1994). Each leaf is a
Gaussian with a diagonal covariance; the split that raises the likelihood most comes first, whatever tree it is in.

Legend: C states in context that were seen, P phones, Q questions, D dimensions; statistics are ``[.., 1 + 2D]``: count,
sum, sum of squares.
"""

import heapq
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr_kd.errors import UsageError
from asr_kd.hmm.context_statistics import ContextStatistics
from asr_kd.hmm.states import Question, StateInventory, Tree
from asr_kd.options import option

log = logging.getLogger(__name__)

SIDES = ("left", "right")
_SIDE_COLUMN = {"left": 2, "right": 3}
_VARIANCE_FLOOR = 0.01


@dataclass(frozen=True, kw_only=True)
class TyingOptions:
    """How many states in context are told apart."""

    num_leaves: int = option("tied states, those of silence among them", default=2000)
    min_frames: int = option("training frames that a tied state must have", default=200)
    untied_phones: tuple[str, ...] = option("phones that stay independent of context, beside silence", default=())

    def __post_init__(self) -> None:
        if self.num_leaves < 1 or self.min_frames < 1:
            raise UsageError("--num-leaves and --min-frames must be at least 1")


@dataclass
class _Leaf:
    """A leaf, or, once it is split, a node; ``members`` are rows of the statistics."""

    members: np.ndarray
    question: tuple[str, int] | None = None
    yes: "_Leaf | None" = None
    no: "_Leaf | None" = None


def tie_states(
    statistics: ContextStatistics, inventory: StateInventory, options: TyingOptions
) -> tuple[StateInventory, np.ndarray]:
    """Grow the trees.

    Args:
        statistics: of the inventory's states.
        inventory: context-independent.

    Returns:
        The tied inventory, and the pdf id ``[C]`` of each state in context that was seen.

    Raises:
        UsageError: a phone that does not exist is to stay untied.
    """
    if unknown := set(options.untied_phones) - set(inventory.phones):
        raise UsageError(f"--untied-phones: no such phone: {', '.join(sorted(unknown))}")
    if options.num_leaves <= inventory.num_pdfs:
        log.warning(
            "--num-leaves %d: there are %d states without context, and no more", options.num_leaves, inventory.num_pdfs
        )
    stats_C = np.concatenate([statistics.count[:, None], statistics.first, statistics.second], axis=1)
    questions = {side: phone_questions(statistics, stats_C, side) for side in SIDES}
    roots = _roots(statistics, inventory)
    untied = {inventory.silence, *options.untied_phones}
    tied = [leaf for (phone, _), leaf in roots.items() if statistics.phones[phone] not in untied]
    _grow(tied, len(roots), statistics, stats_C, questions, options)
    numbers = itertools.count()
    pdf_C = np.zeros(len(stats_C), dtype=np.int32)

    def tree(leaf: _Leaf) -> Tree:
        if leaf.question is None or leaf.yes is None or leaf.no is None:
            pdf = next(numbers)
            pdf_C[leaf.members] = pdf
            return pdf
        side, number = leaf.question
        phones = frozenset(statistics.phones[phone] for phone in np.flatnonzero(questions[side][number]))
        return Question(side, phones, tree(leaf.yes), tree(leaf.no))

    phones = {
        phone: tuple(tree(roots[number, place]) for place in range(len(states)))
        for number, (phone, states) in enumerate(inventory.phones.items())
    }
    return StateInventory(inventory.silence, phones), pdf_C


def phone_questions(statistics: ContextStatistics, stats_C: np.ndarray, side: str) -> np.ndarray:
    """Sets of phones ``[Q, P]`` bool that sound alike to a neighbour.

    Phones are merged two by two, those first that lose the least likelihood as one Gaussian; every set on the way is
    a question. What a phone's right neighbour hears is its last state, its left neighbour its first.

    Args:
        side: on which side of a state the phone stands that is asked about.
    """
    num_phones = len(statistics.phones)
    phone, place = statistics.seen[:, 0], statistics.seen[:, 1]
    heard = place == (_last_places(phone, place, num_phones)[phone] if side == "left" else 0)
    sums = np.zeros((num_phones, stats_C.shape[1]))
    np.add.at(sums, phone[heard], stats_C[heard])
    floor_D = _variance_floor(stats_C)
    masks = np.eye(num_phones, dtype=bool)[sums[:, 0] > 0]
    sums = sums[sums[:, 0] > 0]

    def losses(cluster: int) -> np.ndarray:
        """What merging a cluster with each of all would lose."""
        merged = log_likelihood(sums + sums[cluster], floor_D)
        found: np.ndarray = likelihood + likelihood[cluster] - merged
        found[cluster] = np.inf
        return found

    likelihood = log_likelihood(sums, floor_D)
    loss = np.array([losses(cluster) for cluster in range(len(masks))])
    found = [*masks.copy()]
    for _ in range(len(masks) - 2):
        kept, gone = divmod(int(loss.argmin()), len(masks))
        masks[kept] |= masks[gone]
        sums[kept] += sums[gone]
        likelihood[kept] = log_likelihood(sums[kept], floor_D)
        # Infinite ever after: the loss of merging what is no more.
        likelihood[gone] = np.inf
        loss[gone] = loss[:, gone] = np.inf
        loss[kept] = loss[:, kept] = losses(kept)
        found.append(masks[kept].copy())
    return np.array(found, dtype=bool).reshape(-1, num_phones)


def log_likelihood(stats: np.ndarray, floor_D: np.ndarray) -> np.ndarray:
    """Log-likelihood ``[..]`` of the frames behind some statistics as one Gaussian, up to a constant a frame."""
    dimensions = (stats.shape[-1] - 1) // 2
    count = np.maximum(stats[..., :1], 1e-10)
    mean = stats[..., 1 : 1 + dimensions] / count
    variance = np.maximum(stats[..., 1 + dimensions :] / count - mean**2, floor_D)
    result: np.ndarray = -0.5 * stats[..., 0] * np.log(variance).sum(axis=-1)
    return result


def _last_places(phone: np.ndarray, place: np.ndarray, num_phones: int) -> np.ndarray:
    last = np.zeros(num_phones, dtype=np.int64)
    np.maximum.at(last, phone, place)
    return last


def _variance_floor(stats_C: np.ndarray) -> np.ndarray:
    total = stats_C.sum(axis=0)
    dimensions = (len(total) - 1) // 2
    mean = total[1 : 1 + dimensions] / total[0]
    floor: np.ndarray = _VARIANCE_FLOOR * (total[1 + dimensions :] / total[0] - mean**2)
    return floor


def _roots(statistics: ContextStatistics, inventory: StateInventory) -> dict[tuple[int, int], _Leaf]:
    """A leaf for each state of each phone, also for those that were never seen."""
    seen = statistics.seen
    return {
        (number, place): _Leaf(np.flatnonzero((seen[:, 0] == number) & (seen[:, 1] == place)))
        for number, states in enumerate(inventory.phones.values())
        for place in range(len(states))
    }


def _grow(
    leaves: Sequence[_Leaf],
    num_leaves: int,
    statistics: ContextStatistics,
    stats_C: np.ndarray,
    questions: dict[str, np.ndarray],
    options: TyingOptions,
) -> None:
    """Split leaves, best first, until there are as many as asked for."""
    floor = _variance_floor(stats_C)
    order = itertools.count()
    heap: list[tuple[float, int, _Leaf, tuple[str, int]]] = []

    def consider(leaf: _Leaf) -> None:
        if split := _best_split(statistics.seen[leaf.members], stats_C[leaf.members], questions, floor, options):
            gain, question = split
            heapq.heappush(heap, (-gain, next(order), leaf, question))

    for leaf in leaves:
        consider(leaf)
    while heap and num_leaves < options.num_leaves:
        _, _, leaf, (side, number) = heapq.heappop(heap)
        answers = questions[side][number][statistics.seen[leaf.members, _SIDE_COLUMN[side]]]
        leaf.question = (side, number)
        leaf.yes, leaf.no = _Leaf(leaf.members[answers]), _Leaf(leaf.members[~answers])
        num_leaves += 1
        consider(leaf.yes)
        consider(leaf.no)


def _best_split(
    seen: np.ndarray,
    stats: np.ndarray,
    questions: dict[str, np.ndarray],
    floor_D: np.ndarray,
    options: TyingOptions,
) -> tuple[float, tuple[str, int]] | None:
    """The question that raises the likelihood most and leaves each side frames enough."""
    total = stats.sum(axis=0)
    if total[0] < 2 * options.min_frames:
        return None
    best = None
    for side in SIDES:
        by_phone = np.zeros((questions[side].shape[1], stats.shape[1]))
        np.add.at(by_phone, seen[:, _SIDE_COLUMN[side]], stats)
        yes_Q = questions[side] @ by_phone
        no_Q = total - yes_Q
        gain_Q = log_likelihood(yes_Q, floor_D) + log_likelihood(no_Q, floor_D) - log_likelihood(total, floor_D)
        gain_Q[np.minimum(yes_Q[:, 0], no_Q[:, 0]) < options.min_frames] = -np.inf
        number = int(gain_Q.argmax()) if len(gain_Q) else 0
        if len(gain_Q) and gain_Q[number] > 0 and (best is None or gain_Q[number] > best[0]):
            best = (float(gain_Q[number]), (side, number))
    return best
