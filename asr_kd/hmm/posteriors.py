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

CHUNK_FRAMES = 1024


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

    Frames are scored in stretches of one length, whosever they are: on the CPU a product of a shape that was not met
    before must be prepared.

    Args:
        nj: threads, each scoring stretches of its own.
    """

    def score(frames: slice) -> np.ndarray:
        scores: np.ndarray = mean_log_posteriors(models, store.windows(frames, device)).cpu().numpy()
        return scores

    stretches = threaded_map(score, store.chunks(CHUNK_FRAMES), nj=nj)
    held_TP, first = np.empty((0, models[0].card.num_pdfs), np.float32), 0
    for name, frames in store.index.slices():
        parts, end = [held_TP[frames.start - first :]], first + len(held_TP)
        while end < frames.stop:
            parts.append(next(stretches)[1])
            end += len(parts[-1])
        if len(parts) > 1:
            held_TP, first = np.concatenate(parts), frames.start
        yield name, frames, held_TP[frames.start - first : frames.stop - first]
