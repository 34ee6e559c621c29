"""Fused predictions as a store of soft targets, from which `asr-kd distill` makes one model of all.

Legend: B frames of a batch, P pdfs.
"""

from pathlib import Path

import numpy as np
import torch

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.specialists.ensemble import SpecialistEnsemble
from asr_kd.targets.record import RecordLayout
from asr_kd.targets.store import write_targets


def write_fused_targets(
    directory: Path,
    store: FrameStore,
    ensemble: SpecialistEnsemble,
    *,
    temperature: float,
    num_best: int,
    device: torch.device,
    nj: int = 1,
) -> None:
    """Write the soft targets ``softmax(log q / T)`` of a generalist and its specialists, if any, all P of each frame.

    Args:
        temperature: T, that of the student's training.
        num_best: n, as in `asr_kd.specialists.inference.fuse`.
        nj: threads.
    """
    if not temperature > 0:
        raise UsageError(f"--temperature must be above 0, got {temperature}")

    def targets(frames: slice) -> np.ndarray:
        logq_BP = ensemble.log_fused(store.windows(frames, device), num_best=num_best)
        soft_BP = torch.softmax(logq_BP / temperature, dim=1)
        return np.asarray(soft_BP.half().cpu().numpy())

    write_targets(
        directory,
        store,
        targets,
        models=ensemble.generalist | {one.path: one.model for one in ensemble.specialists},
        states_fingerprint=ensemble.states_fingerprint,
        layout=RecordLayout(ensemble.num_pdfs, top=ensemble.num_pdfs, tail=0),
        temperature=temperature,
        mean=f"specialists, n = {num_best}" if ensemble.specialists else "generalist",
        dense=True,
        nj=nj,
    )
