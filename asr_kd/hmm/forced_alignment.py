"""Forced alignment: the HMM state of every frame, given the words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from asr_kd.errors import DecodeError
from asr_kd.hmm.best_path import best_path, check_scores
from asr_kd.hmm.forked_map import forked_map
from asr_kd.hmm.states import StateInventory
from asr_kd.hmm.utterance_graph import fewest_frames, utterance_graph
from asr_kd.lang.lexicon import Lexicon

Item = tuple[str, Sequence[str], np.ndarray]


@dataclass(frozen=True)
class Alignment:
    """An utterance's pdf of every frame.

    Attributes:
        utt: the utterance's id.
        pdfs: ``[T]`` int32, or None where the utterance cannot be aligned.
        reason: why it cannot, empty where it can.
    """

    utt: str
    pdfs: np.ndarray | None
    reason: str = ""


def align_utterances(
    items: Iterable[Item],
    lexicon: Lexicon,
    inventory: StateInventory,
    *,
    acoustic_scale: float = 1.0,
    beam: float = 200.0,
    retry_beam: float = 2000.0,
    nj: int = 1,
) -> Iterator[Alignment]:
    """Align utterances one after the other, in the order given.

    The best path over all pronunciations, with optional silence between words and at both ends. The beams
    are wide because the graph of one utterance is small.

    Args:
        items: utterance id, words, and log scores ``[T, P]``.
        lexicon: must have all the words.
        inventory: the states; ``P`` is its ``num_pdfs``.
        acoustic_scale: what the scores are multiplied by.
        beam: as in `best_path`.
        retry_beam: the beam of a second attempt, where the first did not reach the end.
        nj: worker processes; with 1 the work is done here.
    """
    work = partial(
        _align, lexicon=lexicon, inventory=inventory, acoustic_scale=acoustic_scale, beams=(beam, retry_beam)
    )
    if nj == 1:
        yield from map(work, items)
    else:
        yield from (alignment for _, alignment in forked_map(work, ((item[0], item) for item in items), nj=nj))


def _align(
    item: Item, *, lexicon: Lexicon, inventory: StateInventory, acoustic_scale: float, beams: Sequence[float]
) -> Alignment:
    utt, words, loglikes = item
    missing = [word for word in words if word not in lexicon]
    if missing:
        return Alignment(utt, None, f"words outside the lexicon: {' '.join(missing)}")
    needed = fewest_frames(words, lexicon, inventory)
    if len(loglikes) < needed:
        return Alignment(utt, None, f"too short: {len(loglikes)} frames, its words need {needed}")
    graph = utterance_graph(words, lexicon, inventory)
    try:
        check_scores(loglikes, inventory.num_pdfs)
        scaled = np.multiply(loglikes, acoustic_scale, dtype=np.float32)
        for beam in beams:
            path = best_path(graph, scaled, beam=beam)
            if path.reached_final:
                return Alignment(utt, np.array(path.inputs, dtype=np.int32) - 1)
    except DecodeError as error:
        return Alignment(utt, None, str(error))
    return Alignment(utt, None, f"no path reaches the end within a beam of {beams[-1]:g}")
