"""Scores of a frame store's frames by one model or an ensemble.

Legend: T frames of one utterance, P pdfs.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel, check_features, check_same_states
from asr_kd.threads import threaded_map

CHUNK_FRAMES = 4096


def load_models(
    paths: Sequence[Path], store: FrameStore, device: torch.device, dtype: str = "fp32"
) -> dict[Path, AcousticModel]:
    """Load models that score a frame store together.

    Args:
        dtype: precision of products, as in `asr_kd.nets.device.DeviceOptions`.

    Raises:
        UsageError: a model is given twice.
        MismatchError: trained on other features than the store's, or of different state inventories.
    """
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"{path} is given twice; each model counts once")
    models = {path: AcousticModel.load(path).to(device, dtype) for path in paths}
    for path, model in models.items():
        check_features(model, store.features_fingerprint, model_path=path, store_path=store.path)
    check_same_states(models)
    return models


@torch.inference_mode()
def mean_log_posteriors(models: Sequence[AcousticModel], x_BW: Tensor) -> Tensor:
    """Log of the arithmetic mean of the models' posteriors ``[B, P]``; never more than two of these in memory."""
    first, *others = models
    sum_BP = first.log_posteriors(x_BW)
    for model in others:
        torch.logaddexp(sum_BP, model.log_posteriors(x_BW), out=sum_BP)
    return sum_BP.sub_(math.log(len(models)))


def utterance_log_posteriors(
    models: Sequence[AcousticModel], store: FrameStore, *, device: torch.device, nj: int = 1
) -> Iterator[tuple[str, slice, np.ndarray]]:
    """Each utterance with its frames and its log posteriors ``[T, P]`` float32.

    Args:
        nj: threads, each scoring utterances of its own.
    """

    def score(utterance: tuple[str, slice]) -> np.ndarray:
        frames = utterance[1]
        parts = [
            mean_log_posteriors(models, store.windows(slice(begin, min(begin + CHUNK_FRAMES, frames.stop)), device))
            for begin in range(frames.start, frames.stop, CHUNK_FRAMES)
        ]
        scores: np.ndarray = torch.cat(parts).cpu().numpy()
        return scores

    for (name, frames), scores in threaded_map(score, store.index.slices(), nj=nj):
        yield name, frames, scores
