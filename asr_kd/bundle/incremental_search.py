"""Beam search that is fed frames as they come, and says at any time what was recognised so far.

Legend: T frames, P pdfs.
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import kaldi_decoder
import kaldifst
import numpy as np

from asr_kd.errors import DecodeError
from asr_kd.hmm.best_path import check_scores


@dataclass(frozen=True)
class Partial:
    """The best path of the frames so far.

    Attributes:
        labels: output labels: words.
        trailing_silence: frames of silence at its end.
    """

    labels: tuple[int, ...]
    trailing_silence: int


class IncrementalSearch:
    """One utterance after the other, each from the graph's start. Frames in pieces or at once find the same path.

    Args:
        fst: the graph, with the insertion penalty in it.
        num_pdfs: P of the graph.
        silence_pdfs: those that count as silence.
        beam, max_active: as in `asr_kd.decode.search.search`.
    """

    def __init__(
        self,
        fst: Any,
        num_pdfs: int,
        *,
        silence_pdfs: Set[int],
        acoustic_scale: float,
        beam: float,
        max_active: int,
    ) -> None:
        self._fst, self._num_pdfs, self._acoustic_scale = fst, num_pdfs, acoustic_scale
        self._silence_labels = frozenset(pdf + 1 for pdf in silence_pdfs)
        options = kaldi_decoder.FasterDecoderOptions(
            beam=beam, max_active=max_active, min_active=min(20, max_active - 1)
        )
        self._decoder = kaldi_decoder.FasterDecoder(fst, options)
        self.restart()

    @property
    def num_frames(self) -> int:
        """Frames of this utterance so far."""
        return int(self._decoder.num_frames_decoded())

    def restart(self) -> None:
        """Forget the utterance and begin another."""
        self._decoder.init_decoding()

    def advance(self, loglikes: np.ndarray) -> None:
        """Search the next frames' scores ``[T, P]``.

        Raises:
            DecodeError: scores that are not finite or of other states.
        """
        if not len(loglikes):
            return
        check_scores(loglikes, self._num_pdfs)
        scaled = np.multiply(loglikes, self._acoustic_scale, dtype=np.float32)
        self._decoder.advance_decoding(kaldi_decoder.DecodableCtc(scaled, self.num_frames))

    def best(self, *, ended: bool) -> Partial:
        """The best path; where the utterance has ended, one to the graph's end if there is one.

        Raises:
            DecodeError: no path is left.
        """
        if not self.num_frames:
            return Partial((), 0)
        found, lattice = self._decoder.get_best_path(ended)
        if not found:
            raise DecodeError("no path left: widen the beam")
        linear, inputs, outputs, _ = kaldifst.get_linear_symbol_sequence(lattice)
        assert linear
        trailing = 0
        for label in reversed(inputs):
            if label not in self._silence_labels:
                break
            trailing += 1
        return Partial(tuple(outputs), trailing)
