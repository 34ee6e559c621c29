"""Soft targets of an ensemble: frames a second, and the part of the best matrix product's rate.

Legend: M members, B frames of a batch.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from asr_kd.bench.clock import LEAST_SECONDS, interleave, stopwatch_of
from asr_kd.bench.figure import Figure
from asr_kd.bench.gemm import best_rate, forward_flops, net_shapes, share_of_best, variants_of
from asr_kd.bench.synthetic import make_model, make_store
from asr_kd.nets.device import computes_bf16
from asr_kd.nets.dnn import NetOptions
from asr_kd.targets.ensemble import ensemble_targets
from asr_kd.targets.store import CHUNK_FRAMES, SoftTargetOptions

NET = NetOptions(num_layers=4, hidden_dim=512)


def measure(
    *,
    device: str = "cpu",
    num_members: int = 10,
    num_pdfs: int = 500,
    batch_size: int = CHUNK_FRAMES,
    rounds: int = 7,
    least_seconds: float = LEAST_SECONDS,
) -> list[Figure]:
    """Forward of all members and their mean, in batches of the size that `asr-kd make-soft-targets` takes."""
    place = torch.device(device)
    dtypes = ["fp32", "bf16"] if computes_bf16(place) else ["fp32"]
    options = SoftTargetOptions()
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), batch_size)
        x_BW = store.windows(slice(0, batch_size), place)
        members = {
            dtype: [make_model(store, NET, num_pdfs, seed).to(place, dtype) for seed in range(num_members)]
            for dtype in dtypes
        }

    def targets(dtype: str) -> Callable[[], object]:
        return lambda: ensemble_targets(members[dtype], x_BW, temperature=options.temperature, mean=options.mean)

    shapes = net_shapes(batch_size, x_BW.shape[1], NET.hidden_dim, num_pdfs)
    variants = {dtype: targets(dtype) for dtype in dtypes} | variants_of(dict.fromkeys(dtypes, shapes), place)
    run = interleave(variants, rounds=rounds, stopwatch=stopwatch_of(place), least_seconds=least_seconds)
    work = num_members * batch_size * forward_flops(x_BW.shape[1], NET.hidden_dim, NET.num_layers, num_pdfs)
    figures = []
    for dtype in dtypes:
        text = f"{num_members} members of 4 x 512, {dtype}"
        share = share_of_best(run, dtype, work, best_rate(run, shapes, dtype))
        speed = batch_size / run.median(dtype)
        figures += [
            Figure(key=f"{dtype}_frames_per_s", text=f"{text}: speed", value=speed, unit="frames/s"),
            Figure(key=f"{dtype}_mfu", text=f"{text}: of the best product's rate (MFU)", value=share, unit="%"),
        ]
    return figures
