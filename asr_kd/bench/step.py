"""The training step: frames a second, the part of the best matrix product's rate, and torch's defaults.

Legend: B frames of a batch.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from asr_kd.bench.clock import LEAST_SECONDS, Rounds, interleave, stopwatch_of
from asr_kd.bench.figure import Figure, Goal
from asr_kd.bench.gemm import best_rate, gflops, net_shapes, share_of_best, training_flops, variants_of
from asr_kd.bench.synthetic import frame_set, make_store
from asr_kd.bench.training import default_step, first_batch, our_step
from asr_kd.frames.store import FrameStore
from asr_kd.nets.device import computes_bf16
from asr_kd.nets.dnn import DNN, NetOptions

DEFAULT = "torch's defaults"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and a batch, how often to time them, and the goals of both precisions."""

    num_layers: int
    hidden_dim: int
    num_pdfs: int
    batch_size: int
    rounds: int
    mfu: tuple[float | None, float | None] = (None, None)
    faster: tuple[float | None, float | None] = (None, None)

    @property
    def name(self) -> str:
        """As in the JSON."""
        return f"{self.num_layers}x{self.hidden_dim}_b{self.batch_size}"

    @property
    def text(self) -> str:
        """For readers."""
        return f"{self.num_layers} x {self.hidden_dim}, {self.num_pdfs:,} pdfs, B = {self.batch_size:,}"


SMALL = partial(Case, num_layers=4, hidden_dim=512, num_pdfs=500)
PAPERS = partial(Case, num_layers=8, hidden_dim=2560, num_pdfs=14_000)
ON_CPU = (
    SMALL(batch_size=1024, rounds=11, mfu=(0.85, 0.80), faster=(1.9, 3.4)),
    SMALL(batch_size=4096, rounds=7),
    PAPERS(batch_size=1024, rounds=3, mfu=(0.85, 0.85)),
)
ON_GPU = (
    PAPERS(batch_size=1024, rounds=11),
    PAPERS(batch_size=4096, rounds=11, mfu=(None, 0.60)),
    PAPERS(batch_size=16_384, rounds=7, mfu=(None, 0.75)),
)


def measure(*, device: str = "cpu", cases: Sequence[Case] = (), least_seconds: float = LEAST_SECONDS) -> list[Figure]:
    """Figures of every case, each case in one interleaved run."""
    place = torch.device(device)
    figures = []
    for case in cases or (ON_GPU if place.type == "cuda" else ON_CPU):
        with tempfile.TemporaryDirectory() as folder:
            store = make_store(Path(folder), 4 * case.batch_size)
            figures += _figures(case, store, place, least_seconds)
    return figures


def _figures(case: Case, store: FrameStore, device: torch.device, least_seconds: float) -> list[Figure]:
    dtypes = ["fp32", "bf16"] if computes_bf16(device) else ["fp32"]
    shapes = net_shapes(case.batch_size, store.input_dim, case.hidden_dim, case.num_pdfs)
    variants = _steps(case, store, device, dtypes) | variants_of(dict.fromkeys(dtypes, shapes), device)
    run = interleave(variants, rounds=case.rounds, stopwatch=stopwatch_of(device), least_seconds=least_seconds)
    work = case.batch_size * training_flops(store.input_dim, case.hidden_dim, case.num_layers, case.num_pdfs)
    figures = []
    for place, dtype in enumerate(("fp32", "bf16")):
        if dtype in dtypes:
            best = best_rate(run, shapes, dtype)
            mfu, speed = share_of_best(run, dtype, work, best), case.batch_size / run.median(dtype)
            figures += _of_dtype(case, place, dtype, mfu, speed, gflops(run, best), run)
        else:
            note = f"{device} does not compute bf16 in hardware"
            key, text = f"{case.name}_{dtype}_mfu", f"{case.text}, {dtype}: MFU"
            figures.append(Figure(key=key, text=text, value=None, unit="%", note=note))
    theirs = share_of_best(run, DEFAULT, work, best_rate(run, shapes, "fp32"))
    text = f"{case.text}, {DEFAULT}: of the best fp32 product's rate"
    return [*figures, Figure(key=f"{case.name}_default_mfu", text=text, value=theirs, unit="%")]


def _steps(case: Case, store: FrameStore, device: torch.device, dtypes: list[str]) -> dict[str, Callable[[], object]]:
    """All steps train the same weights, each with an optimiser of its own: the largest networks must fit."""
    frames = frame_set(store, case.num_pdfs, device)
    batch = first_batch(frames, case.batch_size)
    options = NetOptions(num_layers=case.num_layers, hidden_dim=case.hidden_dim)
    net = DNN(store.input_dim, case.num_pdfs, options, seed=1).to(device)
    steps = {dtype: our_step(net, store, frames, batch, dtype) for dtype in dtypes}
    return steps | {DEFAULT: default_step(net.layers, frames, batch)}


def _of_dtype(case: Case, place: int, dtype: str, mfu: float, speed: float, rate: float, run: Rounds) -> list[Figure]:
    name, text = f"{case.name}_{dtype}", f"{case.text}, {dtype}"
    goal_mfu, goal_faster = case.mfu[place], case.faster[place]
    return [
        Figure(key=f"{name}_frames_per_s", text=f"{text}: speed", value=speed, unit="frames/s"),
        Figure(key=f"{name}_gemm", text=f"{text}: best product", value=rate, unit="GFLOP/s"),
        Figure(
            key=f"{name}_mfu",
            text=f"{text}: of the best product's rate (MFU)",
            value=mfu,
            unit="%",
            goal=None if goal_mfu is None else Goal(goal_mfu),
        ),
        Figure(
            key=f"{name}_vs_default",
            text=f"{text}: over {DEFAULT} (fp32)",
            value=run.ratio(DEFAULT, dtype),
            goal=None if goal_faster is None else Goal(goal_faster),
        ),
    ]
