"""Train the members of an ensemble together, one step for all of them: for small networks on a GPU.

Makes OUT/<seed> for each seed, as asr-kd train makes it, leaving alone those that are there. With dropout a member is
another one than when it is trained alone. metrics.jsonl holds the members' means. Where the frames do not fit on the
device all at once, the members are trained one after the other.
"""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from asr_kd.cli.train import Options as OneMember
from asr_kd.cli.train import run as train_one
from asr_kd.cli.train import training_inputs
from asr_kd.errors import UsageError
from asr_kd.nets.dnn import NetOptions
from asr_kd.options import group, option
from asr_kd.stage import Stage
from asr_kd.train.group_training import fits, train_group
from asr_kd.train.loop import TrainOptions
from asr_kd.train.model_training import TrainingData
from asr_kd.train.selection import SelectOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: tuple[Path, ...] = option("frame stores to train on", positional=True)
    out: Path = option("directory of the members to make", positional=True)
    seeds: tuple[int, ...] = option("seeds of the members, instead of --seed")
    labels: tuple[Path, ...] = option("labels of the frame stores, in any order", affects_result=False)
    dev_frames: Path = option("frame store the networks are watched on", affects_result=False)
    dev_labels: Path = option("its labels", affects_result=False)
    select: SelectOptions = group(SelectOptions)
    net: NetOptions = group(NetOptions)
    train: TrainOptions = group(TrainOptions)

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UsageError("--seeds takes one or more seeds, each once")

    def alone(self, seed: int) -> OneMember:
        """One member's training by itself."""
        return OneMember(
            frames=self.frames,
            out=self.out / str(seed),
            labels=self.labels,
            dev_frames=self.dev_frames,
            dev_labels=self.dev_labels,
            select=self.select,
            net=self.net,
            train=replace(self.train, seed=seed),
        )


def run(options: Options) -> None:
    inputs = training_inputs(options.frames, options.labels, options.dev_frames, options.dev_labels)
    members = [options.alone(seed) for seed in options.seeds]
    stages = {one.train.seed: Stage(one.out, command="train", options=one, inputs=inputs) for one in members}
    missing = {seed: stage for seed, stage in stages.items() if not stage.finished()}
    if not missing:
        return
    data = TrainingData.load(options.frames, options.labels, options.dev_frames, options.dev_labels)
    if not fits(data, options.train):
        log.info("not all frames are in memory at once: the members are trained one after the other")
        for seed in missing:
            train_one(options.alone(seed))
        return
    with ExitStack() as finishing:
        directories = [finishing.enter_context(stage.resuming()) for stage in missing.values()]
        train_group(data, options.net, options.train, list(missing), directories, select=options.select)
