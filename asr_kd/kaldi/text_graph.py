"""OpenFst's text form of a transducer, as fstprint and Kaldi write it.

Legend: S states, A arcs.
"""

import math
from array import array
from pathlib import Path

import numpy as np

from asr_kd.errors import DecodeError
from asr_kd.hmm.fst_arrays import ARC, FstArrays, build_arrays

_EXPECTED = "expected 'FROM TO INPUT OUTPUT [COST]' or 'STATE [COST]' in whole numbers below 2^31"
_MEND = "copy it anew, or print it with fstprint, without symbol tables"


def read_text_fst(path: Path) -> FstArrays:
    """Read lines of arcs, ``FROM TO INPUT OUTPUT [COST]``, and of final states, ``STATE [COST]``.

    The first line's state is the start; a cost that is missing is 0. States keep their order, numbers that none of them
    has are closed up. Empty lines, which Kaldi writes before and after, say nothing.

    Raises:
        DecodeError: with file and line: it is neither; with the file: not a line.
    """
    integers, costs = array("i"), array("f")
    final: dict[int, float] = {}
    start = None
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if not fields:
                continue
            arc = len(fields) > 2
            try:
                if len(fields) not in (1, 2, 4, 5):
                    raise ValueError
                numbers = [_number(field) for field in fields[: 4 if arc else 1]]
                cost = _cost(fields[-1]) if len(fields) > len(numbers) else 0.0
            except ValueError:
                found = ascii(line.strip()[:80])
                raise DecodeError(
                    f"{path}:{number}: neither an OpenFst file nor its text: {_EXPECTED}, found {found}; {_MEND}"
                ) from None
            start = numbers[0] if start is None else start
            if arc:
                integers.extend(numbers)
                costs.append(cost)
            else:
                final[numbers[0]] = cost
    if start is None:
        raise DecodeError(f"{path}: has no state; {_MEND}")
    arcs_A4 = np.frombuffer(integers, np.int32).reshape(-1, 4)
    ends = np.fromiter(final, np.int32, len(final))
    used_S, places = np.unique(np.concatenate([[start], arcs_A4[:, 0], arcs_A4[:, 1], ends]), return_inverse=True)
    sources_A, targets_A, final_places = np.split(places[1:], [len(costs), 2 * len(costs)])
    ends_S = np.full(len(used_S), np.inf, np.float32)
    ends_S[final_places] = list(final.values())
    arcs_A = np.empty(len(costs), ARC)
    arcs_A["input"], arcs_A["output"] = arcs_A4[:, 2:].T
    arcs_A["target"], arcs_A["cost"] = targets_A, np.frombuffer(costs, np.float32)
    return build_arrays(int(places[0]), ends_S, sources_A, arcs_A)


def _number(field: str) -> int:
    if not field.isdecimal() or not field.isascii() or int(field) >= 2**31:
        raise ValueError
    return int(field)


def _cost(field: str) -> float:
    cost = float(field)
    if "_" in field or math.isnan(cost) or cost == -math.inf:
        raise ValueError
    return cost
