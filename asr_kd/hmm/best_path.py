"""The best path of a matrix of scores through a graph: kaldi-decoder's beam search, guarded.

The decoder reads past the matrix for a label that is too great, does not keep its graph alive, and returns
partial paths and NaN without a word; none of that leaves this file.
"""

from dataclasses import dataclass
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np

from asr_kd.errors import DecodeError

_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Path:
    """One best path.

    Attributes:
        inputs: the input labels that are not empty, one a frame: pdf id + 1.
        outputs: the output labels that are not empty: words.
        reached_final: whether the path ends in a final state; False for a partial one.
        cost: negated log score of the path, graph and scaled acoustic score together.
    """

    inputs: list[int]
    outputs: list[int]
    reached_final: bool
    cost: float


def check_scores(loglikes: np.ndarray, num_pdfs: int) -> None:
    """Check a matrix of scores before it goes to the decoder.

    Args:
        loglikes: ``[T, P]``, float.
        num_pdfs: P of the graph. The decoder would read past a matrix with fewer columns.

    Raises:
        DecodeError: not a matrix, no frames, another number of columns, or a value that is not finite.
    """
    if loglikes.ndim != 2:
        raise DecodeError(f"scores of {loglikes.ndim} dimensions; expected a matrix of frames by pdfs")
    num_frames, num_columns = loglikes.shape
    if num_frames == 0:
        raise DecodeError("no frames")
    if num_columns != num_pdfs:
        raise DecodeError(f"scores of {num_columns} pdfs for a graph of {num_pdfs}: made for other states")
    if not np.isfinite(loglikes).all():
        frame = int(np.flatnonzero(~np.isfinite(loglikes).all(axis=1))[0])
        raise DecodeError(f"scores that are not finite from frame {frame} on")


def best_path(
    graph: Any,
    scaled: np.ndarray,
    *,
    beam: float,
    max_active: int | None = None,
) -> Path:
    """Search the graph for its best path.

    Args:
        graph: a transducer of kaldifst; it must pass no cycle without a frame.
        scaled: ``[T, P]`` float32, log scores times the acoustic scale, which passed `check_scores`.
        beam: paths that cost this much more than the best one are dropped.
        max_active: at most so many states stay alive after a frame, 2 or more; None for all within the beam.

    Raises:
        DecodeError: the graph is empty, or no path is left.
    """
    if graph.start < 0:
        raise DecodeError("an empty graph")
    options = kaldi_decoder.FasterDecoderOptions(
        beam=beam,
        max_active=_NO_LIMIT if max_active is None else max_active,
        min_active=0 if max_active is None else min(20, max_active - 1),
    )
    decoder = kaldi_decoder.FasterDecoder(graph, options)
    decoder.decode(kaldi_decoder.DecodableCtc(scaled))
    found, lattice = decoder.get_best_path()
    if not found:
        raise DecodeError("no path left")
    linear, inputs, outputs, weight = kaldifst.get_linear_symbol_sequence(lattice)
    assert linear
    return Path(inputs, outputs, decoder.reached_final(), weight.value1 + weight.value2)
