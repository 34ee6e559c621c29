"""Average an ensemble of models into soft targets over a frame store, labelled or not."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.frames.store import FrameStore
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.stage import Stage, digest, fingerprint
from asr_kd.targets.store import SoftTargetOptions, SoftTargets, write_soft_targets

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: Path = option("frame store", positional=True)
    members: tuple[Path, ...] = option("models of the ensemble", positional=True)
    out: Path = option("soft-target store to make", positional=True)
    targets: SoftTargetOptions = group(SoftTargetOptions)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {
        "frames": fingerprint(options.frames),
        "members": digest(sorted(fingerprint(path) for path in options.members)),
    }
    stage = Stage(options.out, command="make-soft-targets", options=options, inputs=inputs)
    if stage.finished():
        return
    device = prepare(options.device)
    store = FrameStore(options.frames)
    members = load_models(options.members, store, device, options.device.dtype)
    with stage.writing() as partial:
        write_soft_targets(partial, store, members, options.targets, device=device, nj=options.nj)
    size = SoftTargets(options.out).meta["bytes_per_frame"]
    log.info("%s: %d frames of %d models, %d bytes a frame", options.out, store.num_frames, len(members), size)
