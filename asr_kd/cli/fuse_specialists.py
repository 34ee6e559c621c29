"""Turn a generalist's and its specialists' predictions into soft targets, to distil them into one model.

Without specialists they are the generalist's own, for the student to compare with.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.frames.store import FrameStore
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.specialists.ensemble import SpecialistEnsemble
from asr_kd.specialists.fusion import write_fused_targets
from asr_kd.specialists.inference import FusionOptions
from asr_kd.stage import Stage, digest, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: Path = option("frame store, labelled or not", positional=True)
    out: Path = option("soft-target store to make", positional=True)
    generalist: tuple[Path, ...] = option(
        "the generalist: a model, or several of which the mean counts", affects_result=False
    )
    specialists: tuple[Path, ...] = option(
        "its specialists; without any the soft targets are the generalist's alone", default=(), affects_result=False
    )
    temperature: float = option("T: temperature of the softmax, that of the student's training", default=2.0)
    fusion: FusionOptions = group(FusionOptions)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {
        "frames": fingerprint(options.frames),
        "generalist": digest(sorted(fingerprint(path) for path in options.generalist)),
        "specialists": digest(sorted(fingerprint(path) for path in options.specialists)),
    }
    stage = Stage(options.out, command="fuse-specialists", options=options, inputs=inputs)
    if stage.finished():
        return
    device = prepare(options.device)
    store = FrameStore(options.frames)
    ensemble = SpecialistEnsemble.load(
        options.generalist, options.specialists, store, device=device, dtype=options.device.dtype
    )
    with stage.writing() as partial:
        write_fused_targets(
            partial,
            store,
            ensemble,
            temperature=options.temperature,
            num_best=options.fusion.num_best,
            device=device,
            nj=options.nj,
        )
    team = f"{len(options.specialists)} specialists" if options.specialists else "the generalist alone"
    log.info("%s: %d frames of %s", options.out, store.num_frames, team)
