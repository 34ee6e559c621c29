"""Train one network on aligned frames with cross-entropy."""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.nets.dnn import NetOptions
from asr_kd.options import group, option
from asr_kd.stage import Stage, digest, fingerprint
from asr_kd.train.loop import TrainOptions
from asr_kd.train.model_training import TrainingData, train_model
from asr_kd.train.objective import HardTargets
from asr_kd.train.ranks import joined
from asr_kd.train.selection import SelectOptions
from asr_kd.train.watching import WatchOptions


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: tuple[Path, ...] = option("frame stores to train on", positional=True)
    out: Path = option("model directory to make", positional=True)
    labels: tuple[Path, ...] = option("labels of the frame stores, in any order", affects_result=False)
    dev_frames: Path = option("frame store the network is watched on", affects_result=False)
    dev_labels: Path = option("its labels", affects_result=False)
    select: SelectOptions = group(SelectOptions)
    net: NetOptions = group(NetOptions)
    train: TrainOptions = group(TrainOptions)
    watch: WatchOptions = group(WatchOptions)


def run(options: Options) -> None:
    inputs = training_inputs(options.frames, options.labels, options.dev_frames, options.dev_labels)
    stage = Stage(options.out, command="train", options=options, inputs=inputs)
    if stage.finished():
        return
    data = TrainingData.load(options.frames, options.labels, options.dev_frames, options.dev_labels)
    with joined(options.train.device) as ranks, ranks.resuming(stage) as partial:
        train_model(
            data,
            lambda frames, _: HardTargets(frames.labels_N),
            options.net,
            options.train,
            partial,
            select=options.select,
            watch=options.watch,
            ranks=ranks,
        )


def training_inputs(
    frames: tuple[Path, ...], labels: tuple[Path, ...], dev_frames: Path, dev_labels: Path
) -> dict[str, str]:
    """Fingerprints of what a network is trained from."""
    return {
        "frames": digest([fingerprint(path) for path in frames]),
        "labels": digest([fingerprint(path) for path in labels]),
        "dev frames": fingerprint(dev_frames),
        "dev labels": fingerprint(dev_labels),
    }
