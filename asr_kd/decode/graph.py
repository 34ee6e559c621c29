"""The decoding graph HCLG: its composition, and its directory."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import kaldifst

from asr_kd.errors import DecodeError, LexiconError
from asr_kd.hmm.context import in_context
from asr_kd.hmm.fst_arrays import FstArrays, from_arrays, has_epsilon_cycle, read_arrays, read_const_fst, to_arrays
from asr_kd.hmm.graph_pieces import (
    add_self_loops,
    lexicon_transducer,
    num_disambiguation,
    state_transducer,
    without_disambiguation,
)
from asr_kd.hmm.states import StateInventory
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.symbols import SymbolTable, load_symbols, phone_symbols, save_symbols, word_symbols
from asr_kd.lang.units import is_piece_vocabulary, to_words
from asr_kd.stage import write_json

GRAPH_FILE = "HCLG.fst"
WORDS_FILE = "words.txt"
ABOUT_FILE = "graph.json"


def build_graph(
    lexicon: Lexicon, inventory: StateInventory, grammar: kaldifst.StdVectorFst, *, silence_probability: float = 0.5
) -> Any:
    """HCLG: pdf id + 1 in, words out; a ``kaldifst.StdConstFst``.

    Each HMM state has a self-loop, each arc with an input label takes one frame. Transitions cost nothing:
    with one self-loop a state they would add nearly the same for every path.

    Args:
        lexicon: its phones must be the inventory's.
        inventory: the states. Words whose phones differ only in what two phones share cannot be told apart.
        grammar: a transducer over `word_symbols` of the lexicon, with ``#0`` on back-off arcs.
        silence_probability: of silence, at the start and after each word.
    """
    words = word_symbols(lexicon)
    phones = phone_symbols(tuple(inventory.phones), num_disambiguation(lexicon))
    lexicon_fst = lexicon_transducer(lexicon, inventory.silence, phones, words, silence_probability)
    kaldifst.arcsort(grammar, "ilabel")
    graph = _determinized(kaldifst.compose(lexicon_fst, grammar), "lexicon and grammar")
    kaldifst.minimize_encoded(graph)
    graph, units, num_symbols = in_context(graph, inventory, phones)
    kaldifst.arcsort(graph, "ilabel")
    states = state_transducer(units, inventory.num_pdfs, num_symbols)
    graph = _determinized(kaldifst.compose(states, graph), "states and lexicon")
    graph = kaldifst.StdVectorFst(from_arrays(without_disambiguation(to_arrays(graph), inventory.num_pdfs)))
    kaldifst.minimize_encoded(graph)
    return from_arrays(add_self_loops(to_arrays(graph)))


def save_graph(directory: Path, graph: Any, lexicon: Lexicon, inventory: StateInventory) -> None:
    """Write ``HCLG.fst``, ``words.txt``, and in ``graph.json`` what identifies the states and which are silence."""
    if not graph.write(str(directory / GRAPH_FILE)):
        raise DecodeError(f"{directory / GRAPH_FILE}: cannot be written; is the disk full?")
    save_symbols(word_symbols(lexicon), directory / WORDS_FILE)
    about = describe_states(inventory.num_pdfs, inventory.fingerprint, inventory.silence_pdfs)
    write_json(directory / ABOUT_FILE, about)


def describe_states(num_pdfs: int, fingerprint: str, silence_pdfs: Iterable[int]) -> dict[str, Any]:
    """What ``graph.json`` holds."""
    return {"num_pdfs": num_pdfs, "states": fingerprint, "silence_pdfs": sorted(silence_pdfs)}


@dataclass(frozen=True, eq=False)
class DecodingGraph:
    """A graph that passed all checks, ready for `asr_kd.decode.search`.

    Attributes:
        fst: a ``kaldifst.StdConstFst``.
        arrays: the same, mapped from its file.
        words: the symbols of its output labels.
        num_pdfs: columns that scores must have.
        states_fingerprint: that of the state inventory it was made for.
        silence_pdfs: the states of silence.
    """

    fst: Any
    arrays: FstArrays
    words: SymbolTable
    num_pdfs: int
    states_fingerprint: str
    silence_pdfs: frozenset[int]

    @staticmethod
    def load(directory: Path) -> "DecodingGraph":
        """Read a directory of `save_graph`.

        Raises:
            DecodeError: a file is missing or malformed; the graph is empty, has labels of pdfs or words that do
                not exist, or a cycle that takes no frame.
        """
        try:
            about = json.loads((directory / ABOUT_FILE).read_text())
            words = load_symbols(directory / WORDS_FILE)
            num_pdfs, states = int(about["num_pdfs"]), str(about["states"])
            silence_pdfs = frozenset(map(int, about["silence_pdfs"]))
        except (OSError, ValueError, KeyError, TypeError, LexiconError) as error:
            raise DecodeError(f"{directory}: not a decoding graph ({error}); make it with asr-kd make-graph") from error
        path = directory / GRAPH_FILE
        if not path.exists():
            raise DecodeError(f"{path}: no such file; make it with asr-kd make-graph")
        arrays = read_arrays(path)
        if problem := _problem(arrays, num_pdfs, len(words)):
            raise DecodeError(f"{path}: {problem}; make it anew with asr-kd make-graph")
        return DecodingGraph(read_const_fst(path), arrays, words, num_pdfs, states, silence_pdfs)

    def words_of(self, labels: Sequence[int]) -> tuple[str, ...]:
        """The words of output labels, joined where these are pieces of words."""
        found = tuple(self.words[label] for label in labels)
        return to_words(found) if self._in_pieces else found

    @cached_property
    def _in_pieces(self) -> bool:
        return is_piece_vocabulary(self.words.symbols)

    def penalised(self, insertion_penalty: float) -> Any:
        """The transducer with a cost added to every arc that puts out a word; positive means fewer words."""
        return _penalised(self, float(insertion_penalty)) if insertion_penalty else self.fst


@lru_cache(maxsize=2)
def _penalised(graph: DecodingGraph, insertion_penalty: float) -> Any:
    arcs = graph.arrays.arcs.copy()
    arcs["cost"][arcs["output"] > 0] += insertion_penalty
    return from_arrays(FstArrays(graph.arrays.start, graph.arrays.states, arcs))


def _problem(arrays: FstArrays, num_pdfs: int, num_words: int) -> str:
    if arrays.start < 0 or not len(arrays.states) or not len(arrays.arcs):
        return "an empty graph"
    if (greatest := int(arrays.arcs["input"].max())) > num_pdfs:
        return f"an input label {greatest} for {num_pdfs} pdfs"
    if (greatest := int(arrays.arcs["output"].max())) >= num_words:
        return f"an output label {greatest} for {num_words} words"
    if has_epsilon_cycle(arrays):
        return "a cycle that takes no frame, in which the search would hang"
    return ""


def _determinized(fst: kaldifst.StdVectorFst, what: str) -> kaldifst.StdVectorFst:
    if fst.start < 0:
        raise DecodeError(f"the composition of {what} is empty: they share no sentence")
    try:
        failed = kaldifst.determinize_star(fst, use_log=True)  # True is failure
    except RuntimeError as error:
        raise DecodeError(f"the composition of {what} cannot be determinized: {str(error).splitlines()[-1]}") from error
    if failed:
        raise DecodeError(f"the composition of {what} cannot be determinized")
    return fst
