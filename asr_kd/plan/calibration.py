"""How fast this machine, when idle, trains and runs the networks asked for: the product's own code, for seconds.

Everything is done on made-up frames: their values do not change the time. A network so large that a few steps of the
batch asked for would take long on a CPU is measured at two smaller batches there, and the line through both followed.

Legend: M members, B frames of a batch, P pdfs.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from asr_kd.bench.synthetic import make_model, make_store
from asr_kd.distill.hinton import DistillWeights
from asr_kd.frames.store import FrameStore
from asr_kd.nets.device import prepare
from asr_kd.nets.dnn import NetOptions
from asr_kd.plan.footprint import NetShape, Speech, record_layout
from asr_kd.plan.timed_steps import WARM_UP_STEPS, Lesson, now
from asr_kd.targets.ensemble import mean_distribution
from asr_kd.targets.store import SoftTargetOptions
from asr_kd.train.loop import TrainOptions

CPU = torch.device("cpu")
PRESUMED_FLOPS = 150e9  # of one core, to choose batches and steps before anything is measured
LONGEST_STEP_SECONDS = 1.0
BUDGET_SECONDS = 2.0  # of what is timed in each measurement
MOST_TIMES, FEWEST_TIMES = 25, 3
FORWARD_FRAMES = 1024
AVERAGED_LOGITS = 20_000_000


@dataclass(frozen=True, kw_only=True)
class NetSpeed:
    """How fast one network is, in one process.

    Attributes:
        step_seconds: of a training step with the batch asked for, objective, gather and optimiser with it; where
            several networks are trained together, of all of them.
        forward_seconds: of one frame, in large batches.
    """

    step_seconds: float
    forward_seconds: float


def measure_net(
    speech: Speech,
    net: NetOptions,
    num_pdfs: int,
    options: TrainOptions,
    *,
    targets: SoftTargetOptions,
    weights: DistillWeights | None,
    together: int = 1,
) -> NetSpeed:
    """Train and run a network of a shape for a few seconds on this machine.

    Args:
        speech: what windows it sees; how much of it there is does not matter.
        targets: the soft targets that a student learns from.
        weights: of a student's terms; None for a network trained on labels.
        together: networks that one step trains.
    """
    device = prepare(options.device)
    shape = NetShape.of(net, input_dim=speech.input_dim, num_pdfs=num_pdfs)
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for batch_size in batches_to_measure(shape, options.batch_size, device):
            here, steps = Path(folder) / str(batch_size), steps_to_take(shape, batch_size)
            frames = (WARM_UP_STEPS + steps + 1) * batch_size
            store = make_store(here / "frames", frames, dim=speech.dim, left=speech.left, right=speech.right)
            lesson = Lesson(store, num_pdfs, here, targets, weights)
            sized = replace(options, batch_size=batch_size, num_epochs=1)
            measured.append((batch_size, lesson.step_seconds(net, sized, steps, together)))
            forward = _forward_seconds(store, net, num_pdfs, options)
    return NetSpeed(step_seconds=extrapolated(options.batch_size, measured), forward_seconds=forward)


def measure_averaging(num_pdfs: int, num_members: int, options: SoftTargetOptions) -> float:
    """Seconds of one frame to average an ensemble's logits and pack the mean, in one thread; without the networks."""
    num_frames = max(16, min(1024, AVERAGED_LOGITS // (num_members * num_pdfs)))
    generator = torch.Generator().manual_seed(0)
    logits_MBP = 3 * torch.randn(num_members, num_frames, num_pdfs, generator=generator)
    layout = record_layout(num_pdfs, min(options.top_k, num_pdfs), options.tail_samples)

    def average() -> None:
        probs_BP = mean_distribution(logits_MBP, temperature=options.temperature, mean=options.mean)
        if options.keeps_all(num_pdfs):
            probs_BP.half().numpy()
        else:
            layout.pack(probs_BP, generator)

    return median_seconds(average, CPU) / num_frames


def batches_to_measure(shape: NetShape, batch_size: int, device: torch.device) -> list[int]:
    """The batch asked for, or two smaller ones where a step of it would take long on a CPU."""
    if device.type != "cpu":
        return [batch_size]
    fitting = int(LONGEST_STEP_SECONDS * PRESUMED_FLOPS / shape.training_flops)
    return [batch_size] if batch_size <= max(2, fitting) else [max(1, fitting // 2), max(2, fitting)]


def steps_to_take(shape: NetShape, batch_size: int) -> int:
    """Steps that are timed, after the warm-up."""
    presumed = batch_size * shape.training_flops / PRESUMED_FLOPS
    return max(FEWEST_TIMES, min(MOST_TIMES, int(BUDGET_SECONDS / presumed)))


def extrapolated(batch_size: int, measured: Sequence[tuple[int, float]]) -> float:
    """The time of a step of ``batch_size`` frames from that of one batch, or of two smaller ones.

    The line through both has a part that does not depend on the batch (reading and updating every weight). Where
    noise would make that part or the slope negative, time is taken to grow with the batch.

    Args:
        measured: frames of a batch and seconds of a step, the larger batch last.
    """
    large, seconds_large = measured[-1]
    slope = seconds_large / large
    if len(measured) == 2:
        small, seconds_small = measured[0]
        between = (seconds_large - seconds_small) / (large - small)
        slope = between if 0 < between < slope else slope
    return seconds_large + slope * (batch_size - large)


def median_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median time of a call, after one that is not timed."""
    work()
    times: list[float] = []
    while len(times) < FEWEST_TIMES or (sum(times) < BUDGET_SECONDS / 2 and len(times) < MOST_TIMES):
        started = now(device)
        work()
        times.append(now(device) - started)
    return statistics.median(times)


def _forward_seconds(store: FrameStore, net: NetOptions, num_pdfs: int, options: TrainOptions) -> float:
    """Median time of one frame forward."""
    device = torch.device(options.device.device)
    model = make_model(store, net, num_pdfs, seed=1).to(device, options.device.dtype)
    num_frames = min(FORWARD_FRAMES, store.num_frames)
    seconds = median_seconds(lambda: model.logits(store.windows(slice(0, num_frames), device)), device)
    return seconds / num_frames
