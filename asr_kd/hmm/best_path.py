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


def check_scores(loglikes: np.ndarray, greatest_label: int) -> None:
    """Check a matrix of scores before it goes to the decoder.

    Args:
        loglikes: ``[T, P]``, float.
        greatest_label: the greatest input label of the graph.

    Raises:
        DecodeError: not a matrix, no frames, too few columns, or a value that is not finite.
    """
    if loglikes.ndim != 2:
        raise DecodeError(f"scores of {loglikes.ndim} dimensions; expected a matrix of frames by pdfs")
    num_frames, num_pdfs = loglikes.shape
    if num_frames == 0:
        raise DecodeError("no frames")
    if num_pdfs < greatest_label:
        raise DecodeError(f"scores of {num_pdfs} pdfs for a graph of {greatest_label}: made for other states")
    # A sum is finite only if every term is, and needs no copy; it may overflow, hence the second look.
    if not np.isfinite(loglikes.sum(dtype=np.float64)) and not np.isfinite(loglikes).all():
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
        max_active: at most so many states stay alive after a frame; None for all within the beam.

    Raises:
        DecodeError: the graph is empty, or no path is left.
    """
    if graph.start < 0:
        raise DecodeError("an empty graph")
    options = kaldi_decoder.FasterDecoderOptions(
        beam=beam,
        max_active=_NO_LIMIT if max_active is None else max_active,
        min_active=0 if max_active is None else min(20, max_active),
    )
    decoder = kaldi_decoder.FasterDecoder(graph, options)
    decoder.decode(kaldi_decoder.DecodableCtc(scaled))
    found, lattice = decoder.get_best_path()
    if not found:
        raise DecodeError("no path left")
    linear, inputs, outputs, weight = kaldifst.get_linear_symbol_sequence(lattice)
    assert linear
    return Path(inputs, outputs, decoder.reached_final(), weight.value1 + weight.value2)
