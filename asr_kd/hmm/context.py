"""C, the context transducer: phones of a graph become phones between their neighbours.

Legend: S states, A arcs of a transducer.
"""

from typing import Any

import kaldifst
import numpy as np

from asr_kd.hmm.fst_arrays import FstArrays, build_arrays, from_arrays, to_arrays
from asr_kd.hmm.states import StateInventory
from asr_kd.lang.symbols import SymbolTable

_WIDTH, _CENTRAL = 3, 1


def in_context(
    graph: kaldifst.StdVectorFst, inventory: StateInventory, phones: SymbolTable
) -> tuple[Any, list[tuple[int, ...]], int]:
    """Put a graph's phones in their contexts.

    Phones in context whose states have the same pdfs are one unit, Kaldi's "physical" triphone. The start and the
    end of a sentence look like silence to their neighbours.

    Args:
        graph: phones and disambiguation symbols in, words out.
        inventory: the states.
        phones: the numbers of both, the inventory's phones first.

    Returns:
        The graph over units, numbered from 1, and disambiguation symbols after them; each unit's pdf ids; how many
        disambiguation symbols there are. Where no state depends on its context, this is the graph given, and the
        units are the phones.
    """
    num_phones = len(inventory.phones)
    num_symbols = len(phones) - 1 - num_phones
    if not inventory.context_dependent:
        silence = inventory.silence
        return graph, [inventory.pdfs(phone, silence, silence) for phone in inventory.phones], num_symbols
    composed, windows = kaldifst.compose_context(list(range(num_phones + 1, len(phones))), _WIDTH, _CENTRAL, graph)
    names = [inventory.silence, *inventory.phones]  # number 0 stands beyond a sentence's edge
    units: dict[tuple[int, ...], int] = {}
    numbers = np.zeros(len(windows), dtype=np.int32)
    symbols = {}
    for label, window in enumerate(windows):
        if len(window) == _WIDTH:
            left, phone, right = (names[number] for number in window)
            numbers[label] = units.setdefault(inventory.pdfs(phone, left, right), len(units) + 1)
        elif window:
            # A disambiguation symbol, or the one more that stands at the start, before the first phone in context.
            symbols[label] = -window[0] - num_phones if window[0] else num_symbols + 1
    for label, number in symbols.items():
        numbers[label] = len(units) + number
    relabelled = to_arrays(composed)
    arcs = relabelled.arcs.copy()
    arcs["input"] = numbers[arcs["input"]]
    final = relabelled.states["final"]
    changed: FstArrays = build_arrays(relabelled.start, final, relabelled.sources, arcs)
    return kaldifst.StdVectorFst(from_arrays(changed)), list(units), num_symbols + 1
