"""The network of a bundle, run by torch or by onnxruntime, whichever its weights are for.

Legend: B frames of a batch, W width of a window, P pdfs.
"""

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np

from asr_kd.bundle.contents import ONNX_FILE, TORCH_FILE
from asr_kd.errors import DataError

_MODULES = {ONNX_FILE: "asr_kd.bundle.onnx_network", TORCH_FILE: "asr_kd.bundle.torch_network"}


class Network(Protocol):
    """What a recogniser asks of a network.

    Attributes:
        kind: what runs it and how precisely, as ``onnx int8``.
    """

    kind: str

    def log_likelihoods(self, x_BW: np.ndarray) -> np.ndarray:
        """Scaled log likelihoods ``[B, P]`` float32: log posterior less log prior."""
        ...


def load_network(bundle: Path, weights: str, *, num_threads: int = 1) -> Network:
    """The network of a bundle.

    Only the module that runs it is imported: a bundle with ONNX weights must work where torch is not installed.

    Args:
        weights: name of the file of weights.

    Raises:
        DataError: a damaged file, or the package that runs it is not installed.
    """
    try:
        module = importlib.import_module(_MODULES[weights])
    except ModuleNotFoundError as error:
        other = "" if weights == ONNX_FILE else ", or make a bundle without it by asr-kd export-onnx where it is"
        raise DataError(f"{bundle / weights}: needs {error.name}, which is not installed; install it{other}") from error
    network: Network = module.load(bundle / weights, num_threads=num_threads)
    return network
