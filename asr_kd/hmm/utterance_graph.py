"""The graph of one utterance: all ways to speak its words, for forced alignment.

Input labels are pdf id + 1, since 0 is the empty label of a transducer.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import kaldifst

from asr_kd.hmm.states import StateInventory
from asr_kd.lang.lexicon import Lexicon

_START = -1


class _Slot(NamedTuple):
    """A phone at a place of the utterance, and the slots that it can follow."""

    phone: str
    before: list[int]


def utterance_graph(words: Sequence[str], lexicon: Lexicon, inventory: StateInventory) -> kaldifst.StdVectorFst:
    """All ways to speak an utterance's words as a transducer over pdfs.

    Every pronunciation of every word is a path, silence is optional between words and at both ends, every
    HMM state has a self-loop, and all paths weigh the same. There are no empty labels, so every path has
    exactly as many arcs as frames. Without words only silence is left. Where states depend on their context, a
    phone is there once for each pair of neighbours that it can have, across words too.
    """
    slots, last = _slots(words, lexicon, inventory.silence)

    def context(slot: int) -> str:
        """The phone of a slot as its neighbours see it: all phones look alike to those that do not depend on them."""
        phone = inventory.silence if slot == _START else slots[slot].phone
        return phone if inventory.context_dependent else ""

    edge = context(_START)
    rights: defaultdict[int, set[str]] = defaultdict(set)
    for number in last:
        rights[number].add(edge)
    for number, slot in enumerate(slots):
        for before in slot.before:
            rights[before].add(context(number))
    graph = kaldifst.StdVectorFst()
    graph.start = graph.add_state()
    # The last states of a slot's variants, by the phone that must follow.
    exits: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for following in rights[_START]:
        exits[_START, following] = [graph.start]
    for number, slot in enumerate(slots):
        for left in sorted({context(before) for before in slot.before}):
            own = context(number)
            sources = [state for b in slot.before if context(b) == left for state in exits[b, own]]
            for right in sorted(rights[number]):
                chain = inventory.pdfs(slot.phone, left, right)
                exits[number, right].append(_add_chain(graph, sources, chain))
    for number in last:
        for state in exits[number, edge]:
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


def _slots(words: Sequence[str], lexicon: Lexicon, silence: str) -> tuple[list[_Slot], list[int]]:
    """All places of phones, each after those that it can follow, and which of them can be the last."""
    slots = [_Slot(silence, [_START])]
    ends = [_START, 0]
    for word in words:
        spoken = []
        for phones in lexicon.pronunciations(word):
            before = ends
            for phone in phones:
                slots.append(_Slot(phone, before))
                before = [len(slots) - 1]
            spoken += before
        slots.append(_Slot(silence, spoken))
        ends = [*spoken, len(slots) - 1]
    return slots, ends if words else [0]


def _add_chain(graph: kaldifst.StdVectorFst, sources: Sequence[int], pdfs: Sequence[int]) -> int:
    """Add HMM states in a row that can be entered from any of the sources; returns the last."""
    for pdf in pdfs:
        state = graph.add_state()
        for source in sources:
            graph.add_arc(source, kaldifst.StdArc(pdf + 1, 0, 0.0, state))
        graph.add_arc(state, kaldifst.StdArc(pdf + 1, 0, 0.0, state))
        sources = (state,)
    return sources[0]
