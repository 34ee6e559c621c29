"""Measure every part next to the machine's limit and to other programs: a table, JSON, a page.

Ratios come from one interleaved run of one thread on made-up data; a run takes about five minutes of one core.
Install the extra `bench` for the programs that it is compared with.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.bench.document import write_document
from asr_kd.bench.report import table, to_json
from asr_kd.bench.suite import BENCHMARKS, describe_machine, run_benchmarks
from asr_kd.errors import UsageError
from asr_kd.options import nearest, option
from asr_kd.stage import write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    device: str = option("cpu, or cuda for what runs on a GPU", default="cpu")
    only: str = option(f"benchmarks to run, with commas between them: {','.join(BENCHMARKS)}", default="")
    json: Path | None = option("file to write the figures to", default=None)
    doc: Path | None = option("page to write them to, as docs/performance.md; not with --only", default=None)

    def __post_init__(self) -> None:
        if self.only and self.doc is not None:
            raise UsageError("--only goes with --json, not with --doc: the page holds every benchmark")
        for name in filter(None, self.only.split(",")):
            if name not in BENCHMARKS:
                raise UsageError(
                    f"--only {name}: no such benchmark{nearest(name, BENCHMARKS)} ({', '.join(BENCHMARKS)})"
                )


def run(options: Options) -> None:
    on_gpu = options.device.startswith("cuda")
    asked = options.only.split(",") if options.only else list(BENCHMARKS)
    names = [name for name in BENCHMARKS if name in asked and (BENCHMARKS[name].on_gpu or not on_gpu)]
    if not names:
        raise UsageError(f"--only {options.only}: nothing of it runs on --device {options.device}")
    if left_out := [name for name in BENCHMARKS if name in asked and name not in names]:
        log.info("left out, for they measure the CPU alone: %s", ", ".join(left_out))
    machine = describe_machine(options.device)
    results = []
    for found in run_benchmarks(names, options.device):
        print(table(found), flush=True)
        results.append(found)
        if options.json is not None:
            # Each time: what is measured outlives an interrupt, and a benchmark that fails.
            write_json(options.json, to_json(machine, results))
    if options.doc is not None:
        write_document(options.doc, machine, results)
