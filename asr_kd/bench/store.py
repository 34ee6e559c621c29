"""The soft-target store: bytes a frame, and reading random batches.

Legend: N frames, B frames of a batch, P pdfs.
"""

import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from asr_kd.bench.clock import LEAST_SECONDS, interleave, stopwatch_of
from asr_kd.bench.figure import Figure, Goal
from asr_kd.stage import write_json
from asr_kd.targets.record import RecordLayout
from asr_kd.targets.store import META_FILE, TARGETS_FILE, SoftTargetOptions, SoftTargets, TargetReader

PACKED_FRAMES = 512  # made once and repeated: reading does not depend on what is in a record
READ, RECORDS, COPY = "read and unpacked", "records alone", "copied in order"


def measure(
    *,
    device: str = "cpu",
    num_frames: int = 2_000_000,
    num_pdfs: int = 14_000,
    batch_size: int = 1024,
    rounds: int = 11,
    least_seconds: float = LEAST_SECONDS,
) -> list[Figure]:
    """Size of a record, and frames a second in random batches."""
    place = torch.device(device)
    options = SoftTargetOptions()
    layout = RecordLayout(num_pdfs, options.top_k, options.tail_samples)
    with tempfile.TemporaryDirectory() as folder:
        targets = make_targets(Path(folder), layout, num_frames)
        variants = _variants(targets, num_frames, batch_size, place)
        run = interleave(variants, rounds=rounds, stopwatch=stopwatch_of(place), least_seconds=least_seconds)
    text = f"random batches of {batch_size:,}"
    return [
        Figure(
            key="bytes_per_frame",
            text=f"size for {num_pdfs:,} classes, top {layout.top} and {layout.tail} from the tail",
            value=layout.num_bytes,
            unit="bytes",
            goal=Goal(66, at_most=True),
        ),
        *(
            Figure(
                key=key,
                text=f"{text}, {name}",
                value=batch_size / run.median(name),
                unit="frames/s",
                goal=Goal(5e6),
            )
            for key, name in (("sparse_batch_frames_per_s", READ), ("records_frames_per_s", RECORDS))
        ),
        Figure(
            key="records_of_limit",
            text=f"{text}, {RECORDS}: of the limit (as many bytes copied in order)",
            value=run.ratio(COPY, RECORDS),
            unit="%",
        ),
    ]


def make_targets(directory: Path, layout: RecordLayout, num_frames: int) -> SoftTargets:
    """Write a store of soft targets that repeats the records of a few random distributions."""
    generator = torch.Generator().manual_seed(0)
    logits_BP = torch.randn(PACKED_FRAMES, layout.num_pdfs, generator=generator).mul_(3)
    block = layout.pack(torch.softmax(logits_BP, dim=1), generator)
    with (directory / TARGETS_FILE).open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (num_frames, layout.num_bytes)}
        np.lib.format.write_array_header_1_0(file, header)
        for begin in range(0, num_frames, PACKED_FRAMES):
            block[: num_frames - begin].tofile(file)
    meta = {
        "num_pdfs": layout.num_pdfs,
        "top_k": layout.top,
        "tail_samples": layout.tail,
        "temperature": SoftTargetOptions().temperature,
        "mean": SoftTargetOptions().mean,
        "dense": False,
        "models_fingerprint": "synthetic",
    }
    write_json(directory / META_FILE, meta)
    return SoftTargets(directory)


def _variants(
    targets: SoftTargets, num_frames: int, batch_size: int, device: torch.device
) -> dict[str, Callable[[], object]]:
    reader = TargetReader([targets], device)
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randint(num_frames, (batch_size,), generator=generator).to(device) for _ in range(2000)]
    following = {READ: 0, RECORDS: 1}
    rows = targets.rows.to(device)
    stretches = cycle(rows.split(batch_size)[: num_frames // batch_size])
    copied = torch.empty_like(rows[:batch_size])

    def wanted(name: str) -> torch.Tensor:
        following[name] = (following[name] + 2) % len(orders)
        return orders[following[name]]

    return {
        READ: lambda: reader.sparse_batch(wanted(READ)),
        RECORDS: lambda: torch.index_select(rows, 0, wanted(RECORDS)),
        COPY: lambda: copied.copy_(next(stretches)),
    }
