"""A generalist and its specialists as one system over a frame store.

Legend: B frames of a batch, W width of a window, P pdfs.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from asr_kd.frames.store import FrameStore
from asr_kd.hmm.posteriors import load_models, mean_log_posteriors
from asr_kd.nets.acoustic_model import AcousticModel, models_fingerprint
from asr_kd.specialists.inference import active_specialists, fuse, inside_of
from asr_kd.specialists.specialist import Specialist, load_specialists

log = logging.getLogger(__name__)


def warn_of_others(specialists: Sequence[Specialist], generalist: Mapping[Path, AcousticModel]) -> None:
    """Warn of specialists that were made from none of the networks that they are to help."""
    made_from = {model.fingerprint for model in generalist.values()}
    for specialist in specialists:
        if specialist.meta["generalist_fingerprint"] not in made_from:
            log.warning(
                "%s was made from another generalist than %s", specialist.path, " or ".join(map(str, generalist))
            )


class SpecialistEnsemble:
    """A generalist (a model, or several of which the mean counts) and specialists made from it."""

    def __init__(self, generalist: dict[Path, AcousticModel], specialists: Sequence[Specialist]) -> None:
        self.generalist = generalist
        self.specialists = list(specialists)

    @staticmethod
    def load(
        generalist: Sequence[Path],
        specialists: Sequence[Path],
        store: FrameStore,
        *,
        device: torch.device,
        dtype: str = "fp32",
    ) -> "SpecialistEnsemble":
        """Load models that score a frame store together.

        Raises:
            MismatchError: of other features than the store's, or of different states.
        """
        models = load_models(generalist, store, device, dtype)
        states = next(iter(models.values())).card.states_fingerprint
        found = load_specialists(specialists, store, states_fingerprint=states, device=device, dtype=dtype)
        warn_of_others(found, models)
        return SpecialistEnsemble(models, found)

    @property
    def num_pdfs(self) -> int:
        """P."""
        return next(iter(self.generalist.values())).card.num_pdfs

    @property
    def states_fingerprint(self) -> str:
        """Identifies the states."""
        return next(iter(self.generalist.values())).card.states_fingerprint

    @property
    def fingerprint(self) -> str:
        """Identifies the models, in whatever order they are named."""
        return models_fingerprint(self.generalist | {one.path: one.model for one in self.specialists})

    def posteriors(self, x_BW: Tensor) -> Tensor:
        """The generalist's posteriors ``[B, P]``."""
        return self._log_posteriors(x_BW).exp()

    def log_fused(self, x_BW: Tensor, *, num_best: int) -> Tensor:
        """The log of `fused`; without specialists the generalist's own, however small."""
        return self.fused(x_BW, num_best=num_best).log() if self.specialists else self._log_posteriors(x_BW)

    def _log_posteriors(self, x_BW: Tensor) -> Tensor:
        return mean_log_posteriors(list(self.generalist.values()), x_BW)

    def fused(self, x_BW: Tensor, *, num_best: int) -> Tensor:
        """The posteriors ``[B, P]`` of all together, as `asr_kd.specialists.inference` says.

        A specialist runs on those windows alone where it is active.
        """
        # No state is impossible: a zero would stay one, at high temperatures too.
        generalist_BP = self.posteriors(x_BW).clamp(min=torch.finfo(torch.float32).tiny)
        subsets = [specialist.subset for specialist in self.specialists]
        active_BM = active_specialists(generalist_BP, inside_of(subsets).to(x_BW.device), num_best)
        special = []
        for specialist, active_B in zip(self.specialists, active_BM.T, strict=True):
            probs_BC = generalist_BP.new_zeros(len(x_BW), len(specialist.subset.pdfs) + 1)
            probs_BC[active_B] = specialist.log_posteriors(x_BW[active_B]).exp()
            special.append(probs_BC)
        return fuse(generalist_BP, special, subsets, num_best=num_best)
