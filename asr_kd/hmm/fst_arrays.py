"""Transducers as numpy arrays and back, through OpenFst's "const" file format.

Legend of shapes: S states, A arcs.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kaldifst
import numpy as np

from asr_kd.errors import DecodeError

STATE = np.dtype(
    [("final", "<f4"), ("first_arc", "<u4"), ("num_arcs", "<u4"), ("input_epsilons", "<u4"), ("output_epsilons", "<u4")]
)
ARC = np.dtype([("input", "<i4"), ("output", "<i4"), ("cost", "<f4"), ("target", "<i4")])

_MAGIC = 2125659606
_PREFIX = b"\x05\x00\x00\x00const\x08\x00\x00\x00standard"
_NUMBERS = np.dtype([("version", "<i4"), ("flags", "<i4"), ("properties", "<u8"), ("start", "<i8")])
_COUNTS = np.dtype([("states", "<i8"), ("arcs", "<i8")])
_HEADER_BYTES = 4 + len(_PREFIX) + _NUMBERS.itemsize + _COUNTS.itemsize
# Version 2 of the format has no padding; of the properties only "expanded" is claimed, OpenFst finds the rest.
_UNPADDED, _EXPANDED = 2, 1


@dataclass(frozen=True)
class FstArrays:
    """A transducer over the tropical semiring.

    Attributes:
        start: the start state.
        states: ``[S]`` of `STATE`; ``final`` is infinite where a path cannot end.
        arcs: ``[A]`` of `ARC`, by source state.
    """

    start: int
    states: np.ndarray
    arcs: np.ndarray

    @property
    def sources(self) -> np.ndarray:
        """``[A]``: each arc's source state."""
        return np.repeat(np.arange(len(self.states), dtype=np.int32), self.states["num_arcs"])


def build_arrays(start: int, final: np.ndarray, sources: np.ndarray, arcs: np.ndarray) -> FstArrays:
    """Put arcs in order and count them.

    Args:
        start: the start state.
        final: ``[S]`` costs of ending.
        sources: ``[A]`` source states of the arcs, in any order.
        arcs: ``[A]`` of `ARC`.
    """
    states = np.zeros(len(final), dtype=STATE)
    states["final"] = final
    for field, chosen in (
        ("num_arcs", sources),
        ("input_epsilons", sources[arcs["input"] == 0]),
        ("output_epsilons", sources[arcs["output"] == 0]),
    ):
        states[field] = np.bincount(chosen, minlength=len(final))
    states["first_arc"] = np.cumsum(states["num_arcs"]) - states["num_arcs"]
    return FstArrays(start, states, arcs[np.argsort(sources, kind="stable")])


def read_arrays(path: Path) -> FstArrays:
    """Map a file of `write_arrays`, or of a ``StdConstFst``, into memory.

    Raises:
        DecodeError: another format, or a truncated file.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[: 4 + len(_PREFIX)] != np.int32(_MAGIC).tobytes() + _PREFIX:
        raise DecodeError(f"{path}: not a graph in OpenFst's const format; make it anew with asr-kd make-graph")
    numbers = np.frombuffer(header, _NUMBERS, 1, 4 + len(_PREFIX))[0]
    counts = np.frombuffer(header, _COUNTS, 1, _HEADER_BYTES - _COUNTS.itemsize)[0]
    num_states, num_arcs = int(counts["states"]), int(counts["arcs"])
    size = _HEADER_BYTES + num_states * STATE.itemsize + num_arcs * ARC.itemsize
    if numbers["version"] != _UNPADDED or numbers["flags"] != 0 or path.stat().st_size != size:
        raise DecodeError(f"{path}: truncated, or of another version; make it anew with asr-kd make-graph")
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    middle = _HEADER_BYTES + num_states * STATE.itemsize
    return FstArrays(int(numbers["start"]), raw[_HEADER_BYTES:middle].view(STATE), raw[middle:].view(ARC))


def write_arrays(fst: FstArrays, path: Path) -> None:
    """Write a transducer in OpenFst's const format."""
    numbers = np.array((_UNPADDED, 0, _EXPANDED, fst.start), dtype=_NUMBERS)
    counts = np.array((len(fst.states), len(fst.arcs)), dtype=_COUNTS)
    with path.open("wb") as file:
        for part in (np.int32(_MAGIC), _PREFIX, numbers, counts, fst.states, fst.arcs):
            file.write(part if isinstance(part, bytes) else part.tobytes())


def to_arrays(fst: Any) -> FstArrays:
    """The arrays of a transducer of kaldifst."""
    with tempfile.TemporaryDirectory(prefix="asr_kd") as temporary:
        path = Path(temporary, "fst")
        if not kaldifst.StdConstFst(fst).write(str(path)):
            raise DecodeError(f"cannot write a temporary graph below {temporary}; is the disk full?")
        mapped = read_arrays(path)
        return FstArrays(mapped.start, mapped.states.copy(), mapped.arcs.copy())


def from_arrays(fst: FstArrays) -> Any:
    """A ``kaldifst.StdConstFst`` of arrays."""
    with tempfile.TemporaryDirectory(prefix="asr_kd") as temporary:
        path = Path(temporary, "fst")
        write_arrays(fst, path)
        return read_const_fst(path)


def read_const_fst(path: Path) -> Any:
    """Read a ``kaldifst.StdConstFst``.

    Raises:
        DecodeError: kaldifst cannot read it.
    """
    fst = kaldifst.StdConstFst.read(str(path))
    if fst is None:
        raise DecodeError(f"{path}: not a readable graph; make it anew with asr-kd make-graph")
    return fst


def has_epsilon_cycle(fst: FstArrays) -> bool:
    """Whether some cycle of arcs takes no input: a search could go round in it for ever."""
    empty = fst.arcs["input"] == 0
    sources, targets = fst.sources[empty], fst.arcs["target"][empty]
    while len(sources):
        leads_on = np.zeros(len(fst.states), dtype=bool)
        leads_on[sources] = True
        kept = leads_on[targets]
        if kept.all():
            return True
        sources, targets = sources[kept], targets[kept]
    return False
