"""Kaldi's decoding graph with pdfs in place of transition ids."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import kaldifst
import numpy as np

from asr_kd.errors import DecodeError, LexiconError, MismatchError
from asr_kd.hmm.fst_arrays import FstArrays, read_arrays, to_arrays
from asr_kd.kaldi.text_graph import read_text_fst
from asr_kd.lang.symbols import SymbolTable

SILENCE_PHONES = "phones/silence.csl"

_MAGIC = (2125659606).to_bytes(4, "little")
_LONGEST = 64
_READERS = {"vector": kaldifst.StdVectorFst.read, "const": kaldifst.StdConstFst.read}


def read_fst(path: Path) -> FstArrays:
    """Read an OpenFst file of the types "vector" or "const" over the tropical semiring, or the text of one.

    Raises:
        DecodeError: another type, or a file that OpenFst cannot read; with file and line: text of something else.
    """
    if not path.is_file():
        raise DecodeError(f"{path}: no such file")
    with path.open("rb") as file:
        is_fst = file.read(4) == _MAGIC
        kind, arcs = (_string(file), _string(file)) if is_fst else ("", "")
    if not is_fst:
        return read_text_fst(path)
    if kind not in _READERS or arcs != "standard":
        raise DecodeError(
            f"{path}: an OpenFst file of type '{kind}' with arcs '{arcs}'; convert it with fstconvert --fst_type=const"
        )
    if kind == "const":
        # As mkgraph.sh leaves it; by way of OpenFst it takes ten times as long, but reads padding and symbols.
        with suppress(DecodeError):
            return read_arrays(path)
    fst = _READERS[kind](str(path))
    if fst is None:
        raise DecodeError(f"{path}: OpenFst cannot read it; copy it anew")
    return to_arrays(_without_symbols(fst))


def with_pdf_labels(fst: FstArrays, pdf_of: np.ndarray, *, path: Path) -> FstArrays:
    """The transducer with input labels pdf id + 1 where they were transition ids; costs are kept.

    Args:
        pdf_of: the pdf of each transition id, that of 0 being -1.
        path: the graph's file, for errors.

    Raises:
        MismatchError: the model has no such transition id.
    """
    arcs = fst.arcs.copy()
    greatest = int(arcs["input"].max(initial=0))
    if greatest >= len(pdf_of):
        raise MismatchError(
            f"{path}: has the transition id {greatest}, the model {len(pdf_of) - 1} of them: give the model that the "
            "graph was made for"
        )
    arcs["input"] = pdf_of[arcs["input"]] + 1
    return FstArrays(fst.start, fst.states, arcs)


def without_outputs(fst: FstArrays, words: SymbolTable, silent: Collection[str]) -> FstArrays:
    """The transducer with nothing put out for some words.

    Raises:
        LexiconError: the graph has no such word.
    """
    numbers = []
    for word in silent:
        if word not in words.symbols:
            raise LexiconError(f"'{word}': the graph has no such word; take it out of --silent-words")
        numbers.append(words.id(word))
    arcs = fst.arcs.copy()
    arcs["output"][np.isin(arcs["output"], numbers)] = 0
    states = fst.states.copy()
    states["output_epsilons"] = np.bincount(fst.sources[arcs["output"] == 0], minlength=len(states))
    return FstArrays(fst.start, states, arcs)


def read_words(path: Path) -> SymbolTable:
    """Read ``words.txt``, in any order.

    Raises:
        LexiconError: with file and line: no symbol with a number; with the file: numbers that leave a gap.
    """
    symbols: dict[int, str] = {}
    if not path.is_file():
        raise LexiconError(f"{path}: no such file; expected lines 'WORD NUMBER'")
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or not fields[1].isdecimal() or int(fields[1]) in symbols:
            raise LexiconError(f"{path}:{number}: expected a word and a number of its own, found '{line}'")
        symbols[int(fields[1])] = fields[0]
    if sorted(symbols) != list(range(len(symbols))):
        raise LexiconError(f"{path}: numbers with a gap below {max(symbols, default=0)}; give the graph's own file")
    return SymbolTable(tuple(symbols[number] for number in range(len(symbols))))


def read_silence_phones(directory: Path) -> frozenset[int]:
    """The numbers in a graph directory's ``phones/silence.csl``, which mkgraph.sh copies there; none without the file.

    Raises:
        LexiconError: the file is not numbers between colons.
    """
    path = directory / SILENCE_PHONES
    words = path.read_text().strip().split(":") if path.is_file() else []
    if any(not word.isdecimal() for word in words):
        raise LexiconError(f"{path}: expected numbers of phones such as 1:2:3, found '{':'.join(words)}'")
    return frozenset(map(int, words))


def _without_symbols(fst: Any) -> Any:
    """The transducer without tables of its labels' names, which would stand between its header and its states."""
    if fst.input_symbols is None and fst.output_symbols is None:
        return fst
    plain = kaldifst.StdVectorFst(fst)
    plain.input_symbols = plain.output_symbols = None
    return plain


def _string(file: IO[bytes]) -> str:
    length = int.from_bytes(file.read(4), "little")
    return file.read(min(length, _LONGEST)).decode("ascii", "replace")
