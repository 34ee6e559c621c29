"""Lattices: all paths of a beam search whose cost is near the best one's.

A token-passing search in arrays, one step a frame. kaldi-decoder's own lattice search has no limit on the states it
keeps, and takes about six times as long as its search for the best path; this one keeps at most ``max_active`` states,
and takes as long as that where there are thousands, four times as long where there are hundreds.

Legend: A arcs of the graph, S its states, T frames, P pdfs, K tokens (graph states alive) at one time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from asr_kd.hmm.fst_arrays import FstArrays


class Arcs(NamedTuple):
    """Arcs of a lattice between the tokens of two times, or for arcs without a frame of one time.

    Attributes:
        source: token they leave.
        target: token they enter.
        arc: number of the graph's arc, as in `ArcTable`.
        cost: of graph, scaled score and insertion penalty.
    """

    source: np.ndarray
    target: np.ndarray
    arc: np.ndarray
    cost: np.ndarray

    def keep(self, chosen: np.ndarray) -> "Arcs":
        """The arcs of a mask."""
        return Arcs(*(field[chosen] for field in self))


@dataclass(frozen=True)
class Lattice:
    """What a search leaves, from time 0 to time T.

    Attributes:
        empty: of each time, its arcs that take no frame.
        emitting: of each frame, the arcs from its time to the next.
        forward: of each time, the least cost ``[K]`` of coming to a token.
        backward: of each time, the least cost ``[K]`` of going on from a token to the end.
        final: cost ``[K]`` of ending in each token of time T; infinite where a path cannot end.
        limit: the greatest cost of a path.
        reached_final: False where no path ended within the beam; a path may then end in any token.
    """

    empty: Sequence[Arcs]
    emitting: Sequence[Arcs]
    forward: Sequence[np.ndarray]
    backward: Sequence[np.ndarray]
    final: np.ndarray
    limit: float
    reached_final: bool


class ArcTable:
    """A graph's arcs by source state, those without a frame first, so that both kinds are ranges.

    Attributes:
        input, output, cost, target: ``[A]``, as in `asr_kd.hmm.fst_arrays.ARC`.
        final: ``[S]`` costs of ending.
        start: the start state.
    """

    def __init__(self, graph: FstArrays) -> None:
        emits = graph.arcs["input"] > 0
        order = np.argsort(graph.sources.astype(np.int64) * 2 + emits, kind="stable")
        self.input, self.output, self.cost, self.target = (
            np.ascontiguousarray(graph.arcs[name][order]) for name in ("input", "output", "cost", "target")
        )
        self.start = graph.start
        self.final = np.array(graph.states["final"])
        # Plain arrays: picking from a memory-mapped one costs more than the copy.
        first, total = (np.array(graph.states[name], dtype=np.int64) for name in ("first_arc", "num_arcs"))
        num_empty = np.bincount(graph.sources[~emits], minlength=len(total))
        self._empty = first, num_empty
        self._emitting = first + num_empty, total - num_empty

    def leave(self, states: np.ndarray, *, empty: bool) -> tuple[np.ndarray, np.ndarray]:
        """The arcs of one kind that leave some states: for each, the position of its state, and its number."""
        first, count = self._empty if empty else self._emitting
        return ranges(first[states], count[states])


def ranges(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges of numbers one after the other: for each number, the position of its range, and the number itself."""
    owner = np.repeat(np.arange(len(first)), count)
    return owner, np.arange(len(owner)) + np.repeat(first - np.cumsum(count) + count, count)


class LatticeSearch:
    """A graph and the limits of its search.

    Args:
        table: the graph's arcs.
        beam: paths that cost this much more than the best one are dropped.
        max_active: at most so many states are left from one frame to the next.
        lattice_beam: what remains at the end are paths that cost at most this much more than the best one.
        insertion_penalty: cost of each word.
    """

    def __init__(
        self, table: ArcTable, *, beam: float, max_active: int, lattice_beam: float, insertion_penalty: float = 0.0
    ) -> None:
        self.table = table
        self.insertion_penalty = insertion_penalty
        self._beam, self._max_active, self._lattice_beam = beam, max_active, lattice_beam
        # Where in the tokens of this time a state is; what earlier times left is recognised by the state itself.
        self._place = np.zeros(len(table.final), dtype=np.int32)

    def __call__(self, scaled_TP: np.ndarray) -> Lattice | None:
        """Search; None where no path is left.

        Args:
            scaled_TP: log scores times the acoustic scale, which passed `asr_kd.hmm.best_path.check_scores`.
        """
        states, forward = np.array([self.table.start]), np.zeros(1)
        states, forward, arcs = self._close(states, forward)
        all_forward, empty, emitting = [forward], [arcs], []
        for scaled_P in scaled_TP:
            states, forward, taken = self._step(states, forward, scaled_P)
            if not len(states):
                return None
            states, forward, arcs = self._close(states, forward)
            emitting.append(taken)
            empty.append(arcs)
            all_forward.append(forward)
        final = self.table.final[states].astype(np.float64)
        reached_final = bool(np.isfinite(final).any())
        return self._pruned(
            empty, emitting, all_forward, final if reached_final else np.zeros(len(final)), reached_final
        )

    def wider(self, factor: int) -> "LatticeSearch":
        """The same with a greater beam and more states."""
        return LatticeSearch(
            self.table,
            beam=factor * self._beam,
            max_active=factor * self._max_active,
            lattice_beam=self._lattice_beam,
            insertion_penalty=self.insertion_penalty,
        )

    def _step(
        self, states: np.ndarray, forward: np.ndarray, scaled_P: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Arcs]:
        """Take one frame: the tokens after it, their costs, and the arcs that led there."""
        limit = forward.min() + self._beam
        if len(forward) > self._max_active:
            last = self._max_active - 1
            limit = min(limit, float(np.partition(forward, last)[last]))
        alive = np.flatnonzero(forward <= limit)
        owner, arc = self.table.leave(states[alive], empty=False)
        cost = self._arc_cost(arc) - scaled_P[self.table.input[arc] - 1]
        source = alive[owner]
        total = forward[source] + cost
        if len(total):
            kept = total <= total.min() + self._beam
            source, arc, cost, total = source[kept], arc[kept], cost[kept], total[kept]
        target, new_states = self._numbered(self.table.target[arc])
        new_forward = np.full(len(new_states), np.inf)
        np.minimum.at(new_forward, target, total)
        arcs = Arcs(source, target, arc, cost)
        return new_states, new_forward, arcs.keep(total <= new_forward[target] + self._lattice_beam)

    def _close(self, states: np.ndarray, forward: np.ndarray) -> tuple[np.ndarray, np.ndarray, Arcs]:
        """Follow arcs that take no frame to the end; the tokens are then more, and some cost less."""
        self._place[states] = np.arange(len(states))
        limit = forward.min() + self._beam
        improved = np.arange(len(states))
        while len(improved):
            owner, arc = self.table.leave(states[improved], empty=True)
            total = forward[improved[owner]] + self._arc_cost(arc)
            arc, total = arc[total <= limit], total[total <= limit]
            to = self.table.target[arc]
            _, added = self._numbered(to[~self._known(to, states)], first=len(states))
            states = np.concatenate([states, added])
            forward = np.concatenate([forward, np.full(len(added), np.inf)])
            before = forward.copy()
            np.minimum.at(forward, self._place[to], total)
            improved = np.flatnonzero(forward < before)
        source, arc = self.table.leave(states, empty=True)
        cost = self._arc_cost(arc)
        inside = np.flatnonzero(self._known(self.table.target[arc], states))
        arcs = Arcs(source[inside], self._place[self.table.target[arc[inside]]], arc[inside], cost[inside])
        return states, forward, arcs.keep(forward[arcs.source] + arcs.cost <= forward[arcs.target] + self._lattice_beam)

    def _arc_cost(self, arc: np.ndarray) -> np.ndarray:
        cost = self.table.cost[arc].astype(np.float64)
        if self.insertion_penalty:
            cost += self.insertion_penalty * (self.table.output[arc] > 0)
        return cost

    def _numbered(self, states: np.ndarray, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Number distinct states from ``first``: the number of each, and the distinct ones."""
        self._place[states] = np.arange(len(states))
        distinct = states[self._place[states] == np.arange(len(states))]
        self._place[distinct] = np.arange(first, first + len(distinct))
        return self._place[states], distinct

    def _known(self, wanted: np.ndarray, states: np.ndarray) -> np.ndarray:
        place = self._place[wanted]
        inside = place < len(states)
        return inside & (states[np.where(inside, place, 0)] == wanted)

    def _pruned(
        self, empty: list[Arcs], emitting: list[Arcs], forward: list[np.ndarray], final: np.ndarray, reached: bool
    ) -> Lattice:
        """Drop every arc that is on no path within the lattice beam."""
        limit = float((forward[-1] + final).min()) + self._lattice_beam
        backward = [np.full(len(costs), np.inf) for costs in forward]
        backward[-1] = final.copy()
        for time in reversed(range(len(forward))):
            if time < len(emitting):
                arcs, after = emitting[time], backward[time + 1]
                onward = arcs.cost + after[arcs.target]
                kept = forward[time][arcs.source] + onward <= limit
                emitting[time] = arcs.keep(kept)
                np.minimum.at(backward[time], arcs.source[kept], onward[kept])
            empty[time] = _prune_empty(empty[time], forward[time], backward[time], limit)
        return Lattice(empty, emitting, forward, backward, final, limit, reached)


def _prune_empty(arcs: Arcs, forward: np.ndarray, backward: np.ndarray, limit: float) -> Arcs:
    """Bring the backward costs of one time over its empty arcs, and keep those within the limit."""
    changed = len(arcs.source) > 0
    while changed:
        before = backward.copy()
        np.minimum.at(backward, arcs.source, arcs.cost + backward[arcs.target])
        changed = bool((backward < before).any())
    return arcs.keep(forward[arcs.source] + arcs.cost + backward[arcs.target] <= limit)
