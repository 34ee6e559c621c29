"""The benchmarks by name, and running them one after the other, each in a process of one thread."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from asr_kd.bench.figure import Figure
from asr_kd.bench.worker import worker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark is about and where it can run; ``asr_kd.bench.<module>`` has a ``measure``.

    Attributes:
        on_gpu: whether it has something to measure on a GPU.
    """

    module: str
    title: str
    on_gpu: bool = False


BENCHMARKS = {
    "fbank": Benchmark("fbank", "Filter banks"),
    "gather": Benchmark("gather", "Context windows", on_gpu=True),
    "step": Benchmark("step", "The training step", on_gpu=True),
    "loss": Benchmark("loss", "The sparse soft-target loss", on_gpu=True),
    "store": Benchmark("store", "The soft-target store", on_gpu=True),
    "ensemble": Benchmark("ensemble", "Soft targets of an ensemble", on_gpu=True),
    "decode": Benchmark("decode", "Decoding"),
    "members": Benchmark("members", "Members side by side", on_gpu=True),
    "memory": Benchmark("memory", "Memory"),
    "fidelity": Benchmark("students", "What the store costs a student", on_gpu=True),
}


@dataclass(frozen=True)
class Results:
    """One benchmark's figures."""

    name: str
    figures: Sequence[Figure]


def describe_machine(device: str) -> dict[str, Any]:
    """The machine, as JSON values.

    Raises:
        UsageError: there is no such device.
    """
    with worker() as fresh:
        fresh.call("asr_kd.bench.machine:get_ready", device=device)
        found: dict[str, Any] = fresh.call("asr_kd.bench.machine:describe", device=device)
    return found


def run_benchmarks(names: Sequence[str], device: str) -> Iterator[Results]:
    """Figures of each benchmark as it ends; one that fails ends the run.

    Each has a fresh process: what memory one leaves behind decides how fast another gets its own.
    """
    for name in names:
        log.info("%s", BENCHMARKS[name].title)
        with worker() as fresh:
            fresh.call("asr_kd.bench.machine:get_ready", device=device)
            figures = fresh.call(f"asr_kd.bench.{BENCHMARKS[name].module}:measure", device=device)
        yield Results(name, figures)
