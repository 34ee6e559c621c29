"""A bundle's network run by onnxruntime, without torch.

Legend: B frames of a batch, W width of a window, P pdfs.
"""

from pathlib import Path

import numpy as np
import onnxruntime

from asr_kd.bundle.onnx_names import INPUT, LOG_LIKELIHOODS, PRECISION
from asr_kd.errors import DataError


class OnnxNetwork:
    """An onnxruntime session as a `asr_kd.bundle.network.Network`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.kind = f"onnx {session.get_modelmeta().custom_metadata_map.get(PRECISION, 'fp32')}"

    def log_likelihoods(self, x_BW: np.ndarray) -> np.ndarray:
        """Scaled log likelihoods ``[B, P]`` float32."""
        (scores,) = self._session.run([LOG_LIKELIHOODS], {INPUT: x_BW})
        found: np.ndarray = scores
        return found


def load(path: Path, *, num_threads: int) -> OnnxNetwork:
    """Read ``model.onnx``.

    Raises:
        DataError: a damaged file, or one that does not have the input and output of `asr_kd.bundle.onnx_export`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = num_threads
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common class
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: onnxruntime cannot read it ({reason}); export the bundle anew") from error
    names = {port.name for port in (*session.get_inputs(), *session.get_outputs())}
    if not {INPUT, LOG_LIKELIHOODS} <= names:
        raise DataError(f"{path}: not a network of asr-kd export-onnx; export the bundle anew")
    return OnnxNetwork(session)
