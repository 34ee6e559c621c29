"""Fused predictions as a store of soft targets, from which `asr-kd distill` makes one model of all.

Legend: N frames, B frames of a batch, P pdfs.
"""

from pathlib import Path

import numpy as np
import torch

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.specialists.covariance import chunks
from asr_kd.specialists.ensemble import SpecialistEnsemble
from asr_kd.stage import write_json
from asr_kd.targets.store import META_FILE, TARGETS_FILE
from asr_kd.threads import threaded_map


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
        logq_BP = ensemble.log_fused(store.windows(frames).to(device), num_best=num_best)
        soft_BP = torch.softmax(logq_BP / temperature, dim=1)
        return np.ascontiguousarray(soft_BP.half().cpu().numpy())

    shape = (store.num_frames, ensemble.num_pdfs)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)), "fortran_order": False, "shape": shape}
    with (directory / TARGETS_FILE).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _, rows in threaded_map(targets, chunks(store.num_frames), nj=nj):
            file.write(rows.data)
    models = ensemble.generalist | {one.path: one.model for one in ensemble.specialists}
    meta = {
        "frames": str(store.path),
        "index_fingerprint": store.index_fingerprint,
        "features_fingerprint": store.features_fingerprint,
        "feats_fingerprint": store.feats_fingerprint,
        "states_fingerprint": ensemble.states_fingerprint,
        "models": {str(path): model.fingerprint for path, model in models.items()},
        "models_fingerprint": ensemble.fingerprint,
        "num_pdfs": ensemble.num_pdfs,
        "temperature": temperature,
        "mean": f"specialists, n = {num_best}" if ensemble.specialists else "generalist",
        "dense": True,
        "top_k": ensemble.num_pdfs,
        "tail_samples": 0,
        "bytes_per_frame": 2 * ensemble.num_pdfs,
    }
    write_json(directory / META_FILE, meta)
