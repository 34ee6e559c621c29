"""The graph of one utterance: all ways to speak its words, for forced alignment.

Input labels are pdf id + 1, since 0 is the empty label of a transducer.
"""

from collections.abc import Sequence

import kaldifst

from asr_kd.hmm.states import StateInventory
from asr_kd.lang.lexicon import Lexicon


def utterance_graph(words: Sequence[str], lexicon: Lexicon, inventory: StateInventory) -> kaldifst.StdVectorFst:
    """All ways to speak an utterance's words as a transducer over pdfs.

    Every pronunciation of every word is a path, silence is optional between words and at both ends, every
    HMM state has a self-loop, and all paths weigh the same. There are no empty labels, so every path has
    exactly as many arcs as frames. Without words only silence is left.
    """
    graph = kaldifst.StdVectorFst()
    start = graph.add_state()
    graph.start = start
    silence = inventory.phones[inventory.silence]
    ends = [start, _add_chain(graph, [start], silence)]
    for word in words:
        spoken = []
        for phones in lexicon.pronunciations(word):
            pdfs = [pdf for phone in phones for pdf in inventory.phones[phone]]
            spoken.append(_add_chain(graph, ends, pdfs))
        ends = [*spoken, _add_chain(graph, spoken, silence)]
    for state in ends if words else ends[1:]:
        graph.set_final(state, 0.0)
    return graph


def fewest_frames(words: Sequence[str], lexicon: Lexicon, inventory: StateInventory) -> int:
    """The length in frames of the shortest path of `utterance_graph`."""
    if not words:
        return len(inventory.phones[inventory.silence])
    return sum(
        min(sum(len(inventory.phones[phone]) for phone in phones) for phones in lexicon.pronunciations(word))
        for word in words
    )


def _add_chain(graph: kaldifst.StdVectorFst, sources: Sequence[int], pdfs: Sequence[int]) -> int:
    """Add HMM states in a row that can be entered from any of the sources; returns the last."""
    for pdf in pdfs:
        state = graph.add_state()
        for source in sources:
            graph.add_arc(source, kaldifst.StdArc(pdf + 1, 0, 0.0, state))
        graph.add_arc(state, kaldifst.StdArc(pdf + 1, 0, 0.0, state))
        sources = (state,)
    return sources[0]
