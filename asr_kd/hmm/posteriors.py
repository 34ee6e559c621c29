"""Scores of a frame store's frames by one model or an ensemble.

Legend: T frames of one utterance, P pdfs.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel, check_features, check_same_states, input_dtype
from asr_kd.threads import threaded_map

CHUNK_FRAMES = 1024

# Of a frame store each utterance, its frames, and its log posteriors ``[T, P]`` float32.
Posteriors = Callable[[FrameStore], Iterator[tuple[str, slice, np.ndarray]]]


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
    models: Sequence[AcousticModel],
    store: FrameStore,
    *,
    device: torch.device,
    nj: int = 1,
    spent: list[float] | None = None,
) -> Iterator[tuple[str, slice, np.ndarray]]:
    """Each utterance with its frames and its log posteriors ``[T, P]`` float32.

    Frames are scored in stretches of one length, whosever they are: on the CPU a product of a shape that was not met
    before must be prepared.

    Args:
        nj: threads, each scoring stretches of its own.
        spent: gets the processor time of each stretch, in s; of threads that torch adds (`--num-threads`) none.
    """

    dtype = input_dtype(models)

    def score(frames: slice) -> np.ndarray:
        started = time.thread_time()
        scores: np.ndarray = mean_log_posteriors(models, store.windows(frames, device, dtype)).cpu().numpy()
        if spent is not None:
            spent.append(time.thread_time() - started)
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


class KeptMean:
    """The mean of an ensemble's posteriors, added up while each of its models scores whole frame stores by itself.

    Equals `mean_log_posteriors` of the models in their order.

    Args:
        models: how many.
    """

    def __init__(self, models: int) -> None:
        self._models = models
        self._sums: dict[Path, np.ndarray] = {}
        self._added: dict[Path, int] = {}
        self._spent: dict[Path, list[float]] = {}

    @staticmethod
    def num_bytes(stores: Sequence[FrameStore], num_pdfs: int) -> int:
        """Memory that it takes; and while it is written to, what processes forked before still see comes to that."""
        return sum(store.num_frames for store in stores) * num_pdfs * np.dtype(np.float32).itemsize

    def adding(self, model: AcousticModel, *, device: torch.device, nj: int = 1) -> Posteriors:
        """The posteriors of the next model, which the first pass over each store adds up; it must go to the end."""
        passed: set[Path] = set()

        def posteriors(store: FrameStore) -> Iterator[tuple[str, slice, np.ndarray]]:
            first = store.path not in passed
            spent = self._spent.setdefault(store.path, []) if first else None
            for utterance, own, logp_TP in utterance_log_posteriors([model], store, device=device, nj=nj, spent=spent):
                if first:
                    self._add(store, own, logp_TP)
                yield utterance, own, logp_TP
            if first:
                self._added[store.path] = self._added.get(store.path, 0) + 1
                passed.add(store.path)

        return posteriors

    def posteriors(self, store: FrameStore) -> Iterator[tuple[str, slice, np.ndarray]]:
        """Those of the mean, when all models have scored the store."""
        assert self._added[store.path] == self._models
        for utterance, own in store.index.slices():
            yield utterance, own, self._sums[store.path][own] - np.float32(math.log(self._models))

    def seconds(self, store: FrameStore) -> float:
        """Processor time that all models together took to score a store."""
        return sum(self._spent[store.path])

    def _add(self, store: FrameStore, own: slice, logp_TP: np.ndarray) -> None:
        if store.path not in self._sums:
            self._sums[store.path] = np.empty((store.num_frames, logp_TP.shape[1]), np.float32)
        sum_TP = self._sums[store.path][own]
        if self._added.get(store.path):
            summed = torch.from_numpy(sum_TP)
            torch.logaddexp(summed, torch.from_numpy(logp_TP), out=summed)
        else:
            sum_TP[:] = logp_TP
