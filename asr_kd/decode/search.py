"""Beam search for the best words, in worker processes that cannot hang or crash the program."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from asr_kd.decode.graph import DecodingGraph
from asr_kd.errors import DecodeError
from asr_kd.hmm.best_path import best_path, check_scores
from asr_kd.hmm.forked_map import forked_map

_WIDER = 2
_SHORT_FRAMES = 1000


@dataclass(frozen=True)
class Hypothesis:
    """What was recognised.

    Attributes:
        utt: the utterance's id.
        words: the best words.
        reached_final: False where no path within the beam reached the graph's end; the words are then those
            of the best partial path.
        cost: negated log score, of graph, scaled scores and insertion penalty; infinite without frames.
    """

    utt: str
    words: tuple[str, ...]
    reached_final: bool
    cost: float


def search(
    graph: DecodingGraph,
    items: Iterable[tuple[str, np.ndarray]],
    *,
    acoustic_scale: float,
    insertion_penalty: float = 0.0,
    beam: float = 13.0,
    max_active: int = 7000,
    nj: int = 1,
    timeout_s: float = 60.0,
) -> Iterator[Hypothesis]:
    """Recognise utterances, in the order given.

    An utterance that does not reach the graph's end is searched once more, with twice the beam and states.

    Args:
        graph: the decoding graph.
        items: utterance ids and log scores ``[T, P]``, float32; P is the graph's ``num_pdfs``. What a list holds is not
            sent to the processes, as what a stream gives is.
        acoustic_scale: what the scores are multiplied by.
        insertion_penalty: cost of each word; positive means fewer insertions.
        beam: paths that cost this much more than the best one are dropped.
        max_active: at most so many states stay alive after a frame.
        nj: worker processes; they share the graph.
        timeout_s: seconds of processor time for an utterance of up to 10 s; a longer one gets more in proportion.

    Raises:
        DecodeError: a beam or ``max_active`` that leaves nothing to search; with the utterance's id: scores that
            are not finite or of other states, no path left, or a search that hung or crashed.
    """
    if beam <= 0 or max_active < 2:
        raise DecodeError(f"beam {beam:g}, max-active {max_active}: the beam must be above 0, max-active at least 2")
    work = partial(
        _recognise,
        fst=graph.penalised(insertion_penalty),
        num_pdfs=graph.num_pdfs,
        acoustic_scale=acoustic_scale,
        beam=beam,
        max_active=max_active,
    )
    stream = ((item[0], item) for item in items)
    named = list(stream) if isinstance(items, Sequence) else stream
    for utt, (labels, reached_final, cost) in forked_map(work, named, nj=nj, timeout_s=partial(time_limit, timeout_s)):
        yield Hypothesis(utt, graph.words_of(labels), reached_final, cost)


def time_limit(timeout_s: float, item: tuple[str, np.ndarray]) -> float:
    """Seconds of processor time for an utterance: in proportion to its frames where it is longer than 10 s."""
    return timeout_s * max(1.0, len(item[1]) / _SHORT_FRAMES)


def _recognise(
    item: tuple[str, np.ndarray], *, fst: Any, num_pdfs: int, acoustic_scale: float, beam: float, max_active: int
) -> tuple[list[int], bool, float]:
    utt, loglikes = item
    if loglikes.ndim == 2 and len(loglikes) == 0:
        return [], False, math.inf
    try:
        check_scores(loglikes, num_pdfs)
        scaled = np.multiply(loglikes, acoustic_scale, dtype=np.float32)
        path = best_path(fst, scaled, beam=beam, max_active=max_active)
        if not path.reached_final:
            path = best_path(fst, scaled, beam=_WIDER * beam, max_active=_WIDER * max_active)
    except DecodeError as error:
        raise DecodeError(f"utterance '{utt}': {error}") from error
    return path.outputs, path.reached_final, path.cost
