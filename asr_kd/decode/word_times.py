"""When each word was spoken, read off an utterance's HMM states.

Legend: T frames of an utterance, P pdfs, C HMM states of its words, those of every word apart.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from asr_kd.hmm.best_path import best_path
from asr_kd.hmm.states import StateInventory, Tree, leaves
from asr_kd.hmm.utterance_graph import utterance_graph
from asr_kd.lang.lexicon import Lexicon

_MISFIT = 100.0
_BEAM = 1e4


class Span(NamedTuple):
    """The frames of a word."""

    first: int
    length: int


def word_spans(
    words: Sequence[str], pdfs_T: np.ndarray, lexicon: Lexicon, inventory: StateInventory
) -> list[Span] | None:
    """The frames of each word of an aligned utterance.

    A pdf does not say to which word it belongs. So the words are aligned once more, with the phones of each word under
    a name of their own: a frame fits all states that may have its pdf, in whatever context.

    Args:
        words: what was aligned, in the lexicon.
        pdfs_T: of every frame, from forced alignment.
        lexicon: the lexicon it was aligned with.
        inventory: the states it was aligned with.

    Returns:
        of each word; None where no path through the words ends with the frames.
    """
    names = [str(number) for number in range(len(words))]
    phones: dict[str, tuple[Tree, ...]] = {}
    entries: list[tuple[str, tuple[str, ...]]] = []
    fits: list[np.ndarray] = []
    owners: list[int] = []
    for owner, word in [(-1, ""), *enumerate(words)]:
        spoken = lexicon.pronunciations(word) if word else [(inventory.silence,)]
        for phone in dict.fromkeys(phone for pronunciation in spoken for phone in pronunciation):
            states = inventory.phones[phone]
            phones[f"{owner} {phone}" if word else phone] = tuple(range(len(fits), len(fits) + len(states)))
            fits += [_fitting(state, inventory.num_pdfs) for state in states]
            owners += [owner] * len(states)
        if word:
            entries += [
                (names[owner], tuple(f"{owner} {phone}" for phone in pronunciation)) for pronunciation in spoken
            ]
    scores_TC = np.where(np.stack(fits)[:, pdfs_T].T, 0.0, -_MISFIT).astype(np.float32)
    graph = utterance_graph(names, Lexicon(tuple(entries)), StateInventory(inventory.silence, phones))
    path = best_path(graph, scores_TC, beam=_BEAM)
    if not path.reached_final:
        return None
    owner_T = np.array(owners)[np.array(path.inputs) - 1]
    first = np.searchsorted(np.maximum.accumulate(owner_T), np.arange(len(words)))
    return [
        Span(int(f), int(n)) for f, n in zip(first, np.bincount(owner_T + 1, minlength=len(words) + 1)[1:], strict=True)
    ]


@lru_cache(maxsize=4096)
def _fitting(state: Tree, num_pdfs: int) -> np.ndarray:
    """Whether each pdf ``[P]`` may be this state's in some context."""
    fits = np.zeros(num_pdfs, dtype=bool)
    fits[list(leaves(state))] = True
    return fits
