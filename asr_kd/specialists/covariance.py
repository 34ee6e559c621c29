"""Which states are predicted together: the covariance of a generalist's predictions over a frame store.

Legend: N frames, B frames of a batch, P pdfs.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.targets.ensemble import ensemble_targets
from asr_kd.threads import threaded_map

CHUNK_FRAMES = 4096


def prediction_covariance(
    models: Sequence[AcousticModel], store: FrameStore, *, temperature: float, device: torch.device, nj: int = 1
) -> np.ndarray:
    """Covariance ``[P, P]`` float64 of the probabilities that a model, or the mean of several, gives to frames.

    ``cov[i, j] = mean_N(p_i p_j) - mean_N(p_i) mean_N(p_j)``. It needs no labels, and goes over the frames once
    (Hinton, Vinyals & Dean 2015, section 5.3). Each thread has a few chunks' products ``[P, P]`` under way.

    Args:
        temperature: T of the predictions, ``softmax(v / T)``.
        nj: threads.
    """
    num_pdfs = models[0].card.num_pdfs
    products_PP = torch.zeros(num_pdfs, num_pdfs, dtype=torch.float64)
    sums_P = torch.zeros(num_pdfs, dtype=torch.float64)

    def moments(frames: slice) -> tuple[Tensor, Tensor]:
        probs_BP = ensemble_targets(models, store.windows(frames, device), temperature=temperature, mean="arithmetic")
        return (probs_BP.T @ probs_BP).cpu(), probs_BP.sum(dim=0).cpu()

    for _, (products, sums) in threaded_map(moments, store.chunks(CHUNK_FRAMES), nj=nj):
        products_PP += products
        sums_P += sums
    mean_P = sums_P / store.num_frames
    covariance: np.ndarray = (products_PP / store.num_frames - torch.outer(mean_P, mean_P)).numpy()
    return covariance
