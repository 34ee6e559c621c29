"""Pieces of the decoding graph: L (words to phones), H (phones to states), and the states' self-loops.

The recipe is Kaldi's: disambiguation symbols make L determinizable, self-loops come last (Mohri, Pereira and
Riley, "Speech recognition with weighted finite-state transducers", 2008).
"""

import math
from collections import Counter
from collections.abc import Sequence

import kaldifst
import numpy as np

from asr_kd.hmm.fst_arrays import ARC, FstArrays, build_arrays
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.symbols import BACKOFF, SymbolTable


def disambiguation(lexicon: Lexicon) -> list[int]:
    """The number k of the symbol ``#k`` that each entry of the lexicon ends with; 0 is none.

    An entry needs one if its phones are those of another word too, or the beginning of another entry's.
    """
    times = Counter(phones for _, phones in lexicon.entries)
    prefixes = {phones[:length] for phones in times for length in range(1, len(phones))}
    used: Counter[tuple[str, ...]] = Counter()
    numbers = []
    for _, phones in lexicon.entries:
        needed = times[phones] > 1 or phones in prefixes
        used[phones] += needed
        numbers.append(used[phones] if needed else 0)
    return numbers


def num_disambiguation(lexicon: Lexicon) -> int:
    """How many symbols there are: ``#0`` for back-off, ``#1 ..`` for words, the last for optional silence."""
    return max(disambiguation(lexicon)) + 2


def lexicon_transducer(
    lexicon: Lexicon, silence: str, phones: SymbolTable, words: SymbolTable, silence_probability: float
) -> kaldifst.StdVectorFst:
    """L: phones with disambiguation symbols in, words out, optional silence at both ends and between words.

    Args:
        lexicon: the pronunciations, all alike.
        silence: the silence phone.
        phones: with `num_disambiguation` symbols at its end.
        words: with ``#0``.
        silence_probability: of silence, at the start and after each word; the costs are the negated logarithms
            of this and of one minus this.
    """
    cost_of = {True: _cost(silence_probability), False: _cost(1 - silence_probability)}
    fst = kaldifst.StdVectorFst()
    start, loop, before_silence, after_silence = (fst.add_state() for _ in range(4))
    fst.start = start
    fst.set_final(loop, 0.0)

    def arc(source: int, phone: int, word: int, cost: float, target: int) -> None:
        if cost < math.inf:
            fst.add_arc(source, kaldifst.StdArc(phone, word, cost, target))

    silence_id = phones.id(silence)
    arc(start, 0, 0, cost_of[False], loop)
    arc(start, silence_id, 0, cost_of[True], after_silence)
    arc(before_silence, silence_id, 0, 0.0, after_silence)
    arc(after_silence, len(phones) - 1, 0, 0.0, loop)
    arc(loop, phones.id(BACKOFF), words.id(BACKOFF), 0.0, loop)
    for (word, spoken), number in zip(lexicon.entries, disambiguation(lexicon), strict=True):
        labels = [phones.id(phone) for phone in spoken] + ([phones.id(f"#{number}")] if number else [])
        state, output = loop, words.id(word)
        for label in labels[:-1]:
            following = fst.add_state()
            arc(state, label, output, 0.0, following)
            state, output = following, 0
        arc(state, labels[-1], output, cost_of[False], loop)
        arc(state, labels[-1], output, cost_of[True], before_silence)
    kaldifst.arcsort(fst, "olabel")
    return fst


def state_transducer(units: Sequence[tuple[int, ...]], num_pdfs: int, num_disambiguation: int) -> kaldifst.StdVectorFst:
    """H without self-loops: pdf id + 1 in, units out, numbered from 1.

    Disambiguation symbols pass through it: output labels after the last unit's, input labels above the greatest
    pdf's.

    Args:
        units: the pdf ids of each unit's states: phones, or phones in context.
        num_pdfs: P.
        num_disambiguation: how many symbols there are.
    """
    fst = kaldifst.StdVectorFst()
    start = fst.add_state()
    fst.start = start
    fst.set_final(start, 0.0)
    for unit, pdfs in enumerate(units, 1):
        state, output = start, unit
        for place, pdf in enumerate(pdfs, 1):
            following = start if place == len(pdfs) else fst.add_state()
            fst.add_arc(state, kaldifst.StdArc(pdf + 1, output, 0.0, following))
            state, output = following, 0
    for number in range(1, num_disambiguation + 1):
        fst.add_arc(start, kaldifst.StdArc(num_pdfs + number, len(units) + number, 0.0, start))
    kaldifst.arcsort(fst, "olabel")
    return fst


def without_disambiguation(fst: FstArrays, num_pdfs: int) -> FstArrays:
    """Make the input labels above the greatest pdf's empty."""
    arcs = fst.arcs.copy()
    arcs["input"][arcs["input"] > num_pdfs] = 0
    return build_arrays(fst.start, fst.states["final"], fst.sources, arcs)


def add_self_loops(fst: FstArrays) -> FstArrays:
    """Let every HMM state last for any number of frames.

    The HMM state of a graph's state is the label it was entered with. Where that is not unique, the entry
    goes over a new state that has the loop and leads on with an empty arc.
    """
    num_states = len(fst.states)
    arcs, sources = fst.arcs.copy(), fst.sources
    emitting = arcs["input"] > 0
    pairs = np.stack([arcs["target"][emitting], arcs["input"][emitting]], axis=1)
    entered, entry_of_arc = np.unique(pairs, axis=0, return_inverse=True)
    state, label = entered[:, 0], entered[:, 1]
    shared = np.bincount(state, minlength=num_states) > 1
    shared[arcs["target"][~emitting]] = True
    shared[fst.start] = True
    is_new = shared[state]
    holder = np.where(is_new, num_states + np.cumsum(is_new) - 1, state)
    arcs["target"][emitting] = holder[entry_of_arc.reshape(-1)]
    loops = _arcs(label, holder)
    onward = _arcs(np.zeros(int(is_new.sum()), dtype=np.int32), state[is_new])
    final = np.concatenate([fst.states["final"], np.full(len(onward), np.inf, dtype=np.float32)])
    all_sources = np.concatenate([sources, holder, holder[is_new]])
    return build_arrays(fst.start, final, all_sources, np.concatenate([arcs, loops, onward]))


def _arcs(inputs: np.ndarray, targets: Sequence[int] | np.ndarray) -> np.ndarray:
    arcs = np.zeros(len(inputs), dtype=ARC)
    arcs["input"], arcs["target"] = inputs, targets
    return arcs


def _cost(probability: float) -> float:
    return -math.log(probability) if probability > 0 else math.inf
