"""A bundle's network run by torch.

Legend: B frames of a batch, W width of a window, P pdfs.
"""

from pathlib import Path

import numpy as np
import torch

from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.nets.device import DeviceOptions, prepare


class TorchNetwork:
    """An acoustic model as a `asr_kd.bundle.network.Network`."""

    kind = "torch fp32"

    def __init__(self, model: AcousticModel) -> None:
        self._model = model

    def log_likelihoods(self, x_BW: np.ndarray) -> np.ndarray:
        """Scaled log likelihoods ``[B, P]`` float32."""
        logp_BP = self._model.log_posteriors(torch.from_numpy(np.ascontiguousarray(x_BW)))
        scores: np.ndarray = (logp_BP - self._model.log_prior).numpy()
        return scores


def load(path: Path, *, num_threads: int) -> TorchNetwork:
    """Read ``model.safetensors``; the number of threads is the whole process'.

    Raises:
        DataError: a damaged file.
    """
    prepare(DeviceOptions(num_threads=num_threads))
    return TorchNetwork(AcousticModel.load(path.parent))
