"""What models decide for every frame of a frame store, and how much they believe its label.

Legend: N frames of a store, B frames of a chunk, P pdfs.
"""

from collections.abc import Sequence

import numpy as np
import torch

from asr_kd.frames.store import FrameStore
from asr_kd.hmm.posteriors import CHUNK_FRAMES, mean_log_posteriors
from asr_kd.nets.acoustic_model import AcousticModel, input_dtype
from asr_kd.threads import threaded_map


def score_frames(
    models: Sequence[AcousticModel], store: FrameStore, labels_N: np.ndarray, *, device: torch.device, nj: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest pdf of each frame ``[N]`` int32, and the log posterior of its label ``[N]`` float32.

    Args:
        models: one, or several whose posteriors are averaged.
        labels_N: pdf ids; of a frame without one (-1) the log posterior is 0.
        nj: threads.
    """
    decisions_N = np.zeros(store.num_frames, np.int32)
    label_logp_N = np.zeros(store.num_frames, np.float32)

    dtype = input_dtype(models)

    def score(frames: slice) -> tuple[np.ndarray, np.ndarray]:
        logp_BP = mean_log_posteriors(models, store.windows(frames, device, dtype)).cpu().numpy()
        labels_B = labels_N[frames]
        own_B = np.where(labels_B >= 0, logp_BP[np.arange(len(labels_B)), labels_B], 0.0)
        return logp_BP.argmax(axis=1), own_B

    for frames, (decisions_B, own_B) in threaded_map(score, store.chunks(CHUNK_FRAMES), nj=nj):
        decisions_N[frames], label_logp_N[frames] = decisions_B, own_B
    return decisions_N, label_logp_N
