"""How a generalist, specialists and other models label the frames of a store, frame by frame.

Legend: N frames, B frames of a batch, P pdfs, C classes of a specialist, U utterances.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_kd.frames.store import FrameStore
from asr_kd.hmm.posteriors import mean_log_posteriors
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.specialists.covariance import CHUNK_FRAMES
from asr_kd.specialists.inference import fuse
from asr_kd.specialists.specialist import Specialist
from asr_kd.threads import threaded_map

LEAST = 1e-30
GENERALIST, ENSEMBLE = "generalist", "ensemble"


@dataclass(frozen=True, order=True)
class System:
    """What is scored.

    Attributes:
        name: of the table's row.
        num_best: n of a fusion, else 0.
        seed: number of the model among those of one name.
    """

    name: str
    num_best: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Team:
    """All models that are compared.

    Attributes:
        generalist: a model, or several of which the mean counts.
        specialists: those of each kind, by the name of the kind.
        others: further models by name; those of one name are runs of one system.
        ensemble: models of which the mean counts, or none.
        num_best: values of n to fuse with.
    """

    generalist: Sequence[AcousticModel]
    specialists: Mapping[str, Sequence[Specialist]]
    others: Mapping[str, Sequence[AcousticModel]]
    ensemble: Sequence[AcousticModel]
    num_best: Sequence[int] = (1, 2, 3)


@dataclass(frozen=True)
class Scores:
    """Which labelled frames a system gets right, and how sure it is of the label.

    Attributes:
        correct_N: whether the most probable class is the label's; False where there is none.
        cross_entropy_N: ``-log p(label)`` in nats; 0 where there is none.
    """

    correct_N: np.ndarray
    cross_entropy_N: np.ndarray

    @staticmethod
    def empty(num_frames: int) -> "Scores":
        """All wrong."""
        return Scores(np.zeros(num_frames, dtype=bool), np.zeros(num_frames, dtype=np.float32))


Key = tuple[str, int]  # a specialist: the name of its kind, and its number


@dataclass(frozen=True)
class TeamScores:
    """Scores of a team over a store's frames.

    Attributes:
        systems: each system's, over all states.
        alone: each specialist's by itself over its own classes.
        before: the generalist's over the same classes.
    """

    systems: dict[System, Scores] = field(default_factory=dict)
    alone: dict[Key, Scores] = field(default_factory=dict)
    before: dict[Key, Scores] = field(default_factory=dict)

    def take_in(self, part: "TeamScores", frames: slice, num_frames: int) -> None:
        """Put the scores of some frames where they belong."""
        pairs: list[tuple[dict[Any, Scores], dict[Any, Scores]]] = [
            (self.systems, part.systems),
            (self.alone, part.alone),
            (self.before, part.before),
        ]
        for whole, own in pairs:
            for key, scores in own.items():
                kept = whole.setdefault(key, Scores.empty(num_frames))
                kept.correct_N[frames] = scores.correct_N
                kept.cross_entropy_N[frames] = scores.cross_entropy_N


def score_team(
    team: Team, store: FrameStore, labels_N: np.ndarray, stretches: Sequence[slice], *, device: torch.device, nj: int
) -> TeamScores:
    """Score all systems of a team on stretches of a store's frames.

    Args:
        labels_N: pdf ids, -1 where there is none.
        nj: threads.
    """

    def score(frames: slice) -> TeamScores:
        return _score_windows(team, store.windows(frames, device), labels_N[frames])

    result = TeamScores()
    for frames, part in threaded_map(score, _pieces(stretches), nj=nj):
        result.take_in(part, frames, len(labels_N))
    return result


def _score_windows(team: Team, x_BW: Tensor, labels_B: np.ndarray) -> TeamScores:
    found = TeamScores()
    generalist_BP = mean_log_posteriors(team.generalist, x_BW).exp()
    found.systems[System(GENERALIST)] = _score(generalist_BP, labels_B)
    for kind, specialists in team.specialists.items():
        given = [specialist.log_posteriors(x_BW).exp() for specialist in specialists]
        subsets = [specialist.subset for specialist in specialists]
        for number, (given_BC, subset) in enumerate(zip(given, subsets, strict=True)):
            classes_B = subset.classes(labels_B)
            before_BC = subset.collapse(generalist_BP.clamp(min=LEAST).log()).exp()
            found.alone[kind, number] = _score(given_BC, classes_B)
            found.before[kind, number] = _score(before_BC, classes_B)
        for num_best in team.num_best:
            fused_BP = fuse(generalist_BP, given, subsets, num_best=num_best)
            found.systems[System(kind, num_best)] = _score(fused_BP, labels_B)
    for name, models in team.others.items():
        for seed, model in enumerate(models):
            found.systems[System(name, seed=seed)] = _score(model.log_posteriors(x_BW).exp(), labels_B)
    if team.ensemble:
        found.systems[System(ENSEMBLE)] = _score(mean_log_posteriors(team.ensemble, x_BW).exp(), labels_B)
    return found


def utterance_sums(store: FrameStore, values_N: np.ndarray) -> np.ndarray:
    """Sums ``[U]`` over each utterance's frames."""
    totals_N = np.concatenate([[0.0], np.cumsum(values_N, dtype=np.float64)])
    firsts_U = store.index.firsts
    sums: np.ndarray = totals_N[firsts_U + store.index.counts] - totals_N[firsts_U]
    return sums


def _score(probs_BC: Tensor, classes_B: np.ndarray) -> Scores:
    labels_B = torch.from_numpy(classes_B.astype(np.int64)).to(probs_BC.device)
    known_B = labels_B >= 0
    picked_B = probs_BC.gather(1, labels_B.clamp(min=0)[:, None]).squeeze(1)
    correct_B = (probs_BC.argmax(dim=1) == labels_B) & known_B
    cross_entropy_B = -picked_B.clamp(min=LEAST).log() * known_B
    return Scores(correct_B.cpu().numpy(), cross_entropy_B.cpu().numpy())


def _pieces(stretches: Sequence[slice]) -> Iterator[slice]:
    for stretch in stretches:
        for begin in range(stretch.start, stretch.stop, CHUNK_FRAMES):
            yield slice(begin, min(begin + CHUNK_FRAMES, stretch.stop))
