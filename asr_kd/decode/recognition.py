"""Recognise a frame store and count, on the way, how many frames the models label as the alignment does.

Legend: T frames of one utterance, P pdfs.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from asr_kd.decode.graph import DecodingGraph
from asr_kd.decode.nbest import NBest, nbest_lists
from asr_kd.decode.search import Hypothesis, search
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.posteriors import Posteriors, utterance_log_posteriors
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.options import option
from asr_kd.stage import write_text

FRAMES_HEADER = "utt\tnum_frames\tnum_correct\tcross_entropy"


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Limits of the beam search."""

    beam: float = option("paths that cost this much more than the best one are dropped", default=13.0)
    max_active: int = option("states of the graph kept after a frame", default=7000)


@dataclass(frozen=True, kw_only=True)
class NBestOptions:
    """Lists of the best hypotheses, for `asr-kd rescore`."""

    num_best: int = option("best hypotheses of each utterance to keep, of dev and test; 0 keeps none", default=0)
    lattice_beam: float = option("hypotheses that cost this much more than the best one are not listed", default=6.0)
    nbest_beam: float = option("beam of the search for them; 0: as --beam", default=0.0)

    def __post_init__(self) -> None:
        if self.num_best < 0 or self.lattice_beam <= 0 or self.nbest_beam < 0:
            raise ValueError("--num-best and --nbest-beam must be 0 or more, --lattice-beam above 0")


@dataclass
class FrameScores:
    """Per utterance: labelled frames, those labelled alike, and the sum of -log p(label) in nats."""

    rows: list[tuple[str, int, int, float]] = field(default_factory=list)

    def add(self, utterance: str, logp: np.ndarray, pdfs: np.ndarray) -> None:
        """Count one utterance's log posteriors ``[T, P]`` against its labels ``[T]`` (-1: none)."""
        labelled = pdfs >= 0
        logp, pdfs = logp[labelled], pdfs[labelled]
        correct = int((logp.argmax(axis=1) == pdfs).sum())
        cross_entropy = -float(logp[np.arange(len(pdfs)), pdfs].sum(dtype=np.float64))
        self.rows.append((utterance, len(pdfs), correct, cross_entropy))

    def in_order(self, utterances: Iterable[str]) -> "FrameScores":
        """The scores of just these utterances, in their order; one that was not scored has no frames."""
        known = {row[0]: row for row in self.rows}
        return FrameScores([known.get(utterance, (utterance, 0, 0, 0.0)) for utterance in utterances])

    def write(self, path: Path) -> None:
        """Write ``frames.tsv``."""
        lines = [f"{u}\t{frames}\t{correct}\t{entropy:.6f}" for u, frames, correct, entropy in self.rows]
        write_text(path, "\n".join([FRAMES_HEADER, *lines]) + "\n")


@dataclass(frozen=True)
class Scorer:
    """Models that score frames together; the mean of their posteriors is divided by the mean of their priors.

    Attributes:
        posteriors: of the models' mean, where it is at hand.
    """

    models: Sequence[AcousticModel]
    device: torch.device
    nj: int = 1
    posteriors: Posteriors | None = None

    def log_likelihoods(
        self, store: FrameStore, frames: FrameScores | None = None, pdfs: np.ndarray | None = None
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Scaled log likelihoods ``[T, P]`` of each utterance: ``log p(s|x) - log p(s)``.

        Args:
            frames: collects each utterance's frame accuracy against ``pdfs`` ``[N]``.
        """
        priors = torch.stack([model.log_prior for model in self.models])
        prior = priors.exp().mean(dim=0).log().cpu().numpy()
        for utterance, own, logp in self.posteriors(store) if self.posteriors else self._scored(store):
            if frames is not None and pdfs is not None:
                frames.add(utterance, logp, pdfs[own])
            yield utterance, logp - prior

    def _scored(self, store: FrameStore) -> Iterator[tuple[str, slice, np.ndarray]]:
        return utterance_log_posteriors(self.models, store, device=self.device, nj=self.nj)


@dataclass(frozen=True)
class Decoder:
    """A graph and how it is searched."""

    graph: DecodingGraph
    options: SearchOptions
    nj: int = 1

    def __call__(
        self, scores: Iterable[tuple[str, np.ndarray]], acoustic_scale: float, insertion_penalty: float
    ) -> Iterator[Hypothesis]:
        """Recognise a stream or a list of utterances."""
        return search(
            self.graph,
            scores,
            acoustic_scale=acoustic_scale,
            insertion_penalty=insertion_penalty,
            beam=self.options.beam,
            max_active=self.options.max_active,
            nj=self.nj,
        )

    def lists(
        self,
        scores: Iterator[tuple[str, np.ndarray]],
        acoustic_scale: float,
        insertion_penalty: float,
        options: NBestOptions,
    ) -> Iterator[NBest]:
        """The best hypotheses of a stream of utterances."""
        return nbest_lists(
            self.graph,
            scores,
            num_best=options.num_best,
            acoustic_scale=acoustic_scale,
            insertion_penalty=insertion_penalty,
            beam=options.nbest_beam or self.options.beam,
            max_active=self.options.max_active,
            lattice_beam=options.lattice_beam,
            nj=self.nj,
        )


def processor_seconds() -> float:
    """Processor time of this process and of the children it has waited for."""
    return sum(os.times()[:4])
