"""The n best word sequences of an utterance, no two alike, each with its graph cost and its acoustic cost apart.

Legend: T frames, P pdfs, K tokens of a lattice at one time, H hypotheses alive at one time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from asr_kd.decode.graph import DecodingGraph
from asr_kd.decode.lattice import Arcs, ArcTable, Lattice, LatticeSearch, ranges
from asr_kd.decode.search import time_limit
from asr_kd.errors import DecodeError
from asr_kd.hmm.best_path import check_scores
from asr_kd.hmm.forked_map import forked_map

_WIDER = 2
# One word sequence is often alive at a time with several beginnings, some a word ahead of the others.
_SPARE = 4
# Shares of the lattice's beam within which sentences are looked for.
_WIDTHS = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Sentence:
    """One of an utterance's hypotheses.

    Attributes:
        words: what the graph put out, as its language model knows it: words, or the pieces they are joined from.
        graph_cost: of grammar, silences and pronunciations, without insertion penalty.
        acoustic_cost: negated sum of the scores along its best path, at scale 1.
    """

    words: tuple[str, ...]
    graph_cost: float
    acoustic_cost: float


@dataclass(frozen=True)
class NBest:
    """An utterance's hypotheses, the best first.

    Attributes:
        utt: the utterance's id.
        sentences: no two with the same words; none where the search found no path.
        reached_final: False where no path reached the graph's end; all are then partial.
    """

    utt: str
    sentences: tuple[Sentence, ...]
    reached_final: bool


def nbest_lists(
    graph: DecodingGraph,
    items: Iterable[tuple[str, np.ndarray]],
    *,
    num_best: int,
    acoustic_scale: float,
    insertion_penalty: float = 0.0,
    beam: float = 13.0,
    max_active: int = 7000,
    lattice_beam: float = 8.0,
    nj: int = 1,
    timeout_s: float = 300.0,
) -> Iterator[NBest]:
    """The n best word sequences of utterances, in the order given.

    Args:
        graph: the decoding graph.
        items: utterance ids and log scores ``[T, P]``, float32.
        num_best: at most so many hypotheses an utterance.
        lattice_beam: none that costs this much more than the best one.
        nj: worker processes; they share the graph.
        timeout_s: as in `asr_kd.decode.search.search`.

    Raises:
        DecodeError: with the utterance's id: scores that are not finite or of other states, or a search that ran out
            of time.
    """
    if min(beam, lattice_beam) <= 0 or max_active < 2 or num_best < 1:
        raise DecodeError("n-best lists need a beam, a lattice beam and a number above 0, and max-active above 1")
    search = LatticeSearch(
        arc_table(graph),
        beam=beam,
        max_active=max_active,
        lattice_beam=lattice_beam,
        insertion_penalty=insertion_penalty,
    )
    work = partial(_search, search=search, graph=graph, num_best=num_best, acoustic_scale=acoustic_scale)
    named = ((item[0], item) for item in items)
    for _, found in forked_map(work, named, nj=nj, timeout_s=partial(time_limit, timeout_s)):
        yield found


@lru_cache(maxsize=1)
def arc_table(graph: DecodingGraph) -> ArcTable:
    """A graph's arcs for `LatticeSearch`, sorted once."""
    return ArcTable(graph.arrays)


def _search(
    item: tuple[str, np.ndarray], *, search: LatticeSearch, graph: DecodingGraph, num_best: int, acoustic_scale: float
) -> NBest:
    utt, loglikes = item
    if loglikes.ndim == 2 and len(loglikes) == 0:
        return NBest(utt, (), False)
    try:
        check_scores(loglikes, graph.num_pdfs)
    except DecodeError as error:
        raise DecodeError(f"utterance '{utt}': {error}") from error
    scaled = np.multiply(loglikes, acoustic_scale, dtype=np.float32)
    lattice = search(scaled)
    if lattice is None or not lattice.reached_final:
        lattice = search.wider(_WIDER)(scaled) or lattice
    if lattice is None:
        return NBest(utt, (), False)
    sentences = []
    for labels, cost, graph_cost in best_sentences(lattice, search.table, num_best):
        scaled_cost = cost - graph_cost - search.insertion_penalty * len(labels)
        words = tuple(graph.words[label] for label in labels)
        sentences.append(Sentence(words, graph_cost, scaled_cost / acoustic_scale))
    return NBest(utt, tuple(sentences), lattice.reached_final)


class _Alive(NamedTuple):
    """Hypotheses at one time: words so far, and the token they have come to.

    Attributes:
        token: ``[H]``.
        history: ``[H]``, number of the words so far in a `_Histories`.
        cost: ``[H]``, all of it.
        graph: ``[H]``, the graph's part.
    """

    token: np.ndarray
    history: np.ndarray
    cost: np.ndarray
    graph: np.ndarray

    def take(self, chosen: np.ndarray) -> "_Alive":
        return _Alive(*(field[chosen] for field in self))


class _Histories:
    """Word sequences as a tree: a sequence is the number of its node."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], int] = {}
        self._came_by: list[tuple[int, int]] = [(0, 0)]

    def extended(self, histories: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Each history with a word after it; word 0 is none."""
        result = histories.copy()
        spoken = np.flatnonzero(words)
        for place, history, word in zip(
            spoken.tolist(), histories[spoken].tolist(), words[spoken].tolist(), strict=True
        ):
            key = history, word
            if key not in self._nodes:
                self._nodes[key] = len(self._came_by)
                self._came_by.append(key)
            result[place] = self._nodes[key]
        return result

    def words(self, history: int) -> list[int]:
        """The labels of a history."""
        found: list[int] = []
        while history:
            history, word = self._came_by[history]
            found.append(word)
        return found[::-1]


def best_sentences(lattice: Lattice, table: ArcTable, num_best: int) -> list[tuple[list[int], float, float]]:
    """The best word sequences of a lattice, no two alike.

    A second search over the lattice, whose tokens are told apart by the words that led to them. How each may end at
    best is known from the first search, so what is dropped on the way is what no list would have. Sequences near the
    best one are looked for first, and further ones only if those are too few: the work grows steeply with the width.

    Returns:
        of each, the best first: labels, cost of all, and the graph's part of it.
    """
    best = float((lattice.forward[-1] + lattice.final).min())
    found: list[tuple[list[int], float, float]] = []
    for share in _WIDTHS:
        found = _sentences_within(lattice, table, num_best, best + share * (lattice.limit - best))
        if len(found) == num_best:
            break
    return found


def _sentences_within(
    lattice: Lattice, table: ArcTable, num_best: int, limit: float
) -> list[tuple[list[int], float, float]]:
    """The best word sequences, of those that cost no more than ``limit``."""
    histories = _Histories()
    alive = _Alive(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1), np.zeros(1))
    for time, backward in enumerate(lattice.backward):
        alive = _closed(alive, lattice.empty[time], backward, limit, table, histories)
        alive = _narrowed(alive, backward, _SPARE * num_best)
        if time < len(lattice.emitting):
            alive = _over(alive, lattice.emitting[time], table, histories)
            alive, _ = _distinct(alive.take(alive.cost + lattice.backward[time + 1][alive.token] <= limit))
    ending = lattice.final[alive.token]
    order = np.argsort(alive.cost + ending, kind="stable")
    _, first = np.unique(alive.history[order], return_index=True)
    return [
        (
            histories.words(int(alive.history[place])),
            float(alive.cost[place] + ending[place]),
            float(alive.graph[place] + ending[place]),
        )
        for place in order[np.sort(first)[:num_best]]
        if alive.cost[place] + ending[place] <= limit
    ]


def _over(alive: _Alive, arcs: Arcs, table: ArcTable, histories: _Histories) -> _Alive:
    """Hypotheses after every arc that each may take; the arcs are sorted by source."""
    first = np.searchsorted(arcs.source, alive.token)
    owner, taken = ranges(first, np.searchsorted(arcs.source, alive.token, side="right") - first)
    arc = arcs.arc[taken]
    return _Alive(
        arcs.target[taken],
        histories.extended(alive.history[owner], table.output[arc]),
        alive.cost[owner] + arcs.cost[taken],
        alive.graph[owner] + table.cost[arc],
    )


def _closed(
    alive: _Alive, arcs: Arcs, backward: np.ndarray, limit: float, table: ArcTable, histories: _Histories
) -> _Alive:
    """The hypotheses and what arcs without a frame make of them."""
    fresh = alive
    while len(arcs.source) and len(fresh.token):
        more = _over(fresh, arcs, table, histories)
        more = more.take(more.cost + backward[more.token] <= limit)
        num_before = len(alive.token)
        alive, kept = _distinct(_Alive(*map(np.concatenate, zip(alive, more, strict=True))))
        fresh = alive.take(kept >= num_before)
    return alive


def _distinct(alive: _Alive) -> tuple[_Alive, np.ndarray]:
    """The cheapest of those with the same token and words, and the place each had before."""
    order = np.lexsort((alive.cost, alive.history, alive.token))
    token, history = alive.token[order], alive.history[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (token[1:] != token[:-1]) | (history[1:] != history[:-1])
    return alive.take(order[first]), order[first]


def _narrowed(alive: _Alive, backward: np.ndarray, most: int) -> _Alive:
    """Only the histories that may end best, so many of them."""
    distinct, of = np.unique(alive.history, return_inverse=True)
    if len(distinct) <= most:
        return alive
    best = np.full(len(distinct), np.inf)
    np.minimum.at(best, of, alive.cost + backward[alive.token])
    return alive.take(best[of] <= np.partition(best, most - 1)[most - 1])
