"""Train the members of an ensemble together, one step for all of them: for small networks on a GPU.

Makes OUT/<seed> for each seed, as asr-kd train makes it, leaving alone those that are there. With dropout a member is
another one than when it is trained alone. metrics.jsonl holds the members' means, its frames and seconds are those of
all together. Where members cannot be trained so, for memory or for an option, they are trained one after the other.
"""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path

from asr_kd.cli.train import Options as OneMember
from asr_kd.cli.train import run as train_one
from asr_kd.cli.train import training_inputs
from asr_kd.errors import UsageError
from asr_kd.options import option
from asr_kd.stage import Stage
from asr_kd.train.checkpoint import CHECKPOINT_FILE, GROUP_FOLDER
from asr_kd.train.group_training import train_group, why_not_together
from asr_kd.train.loop import TrainOptions
from asr_kd.train.model_training import TrainingData
from asr_kd.train.watching import WatchOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(OneMember):
    out: Path = option("directory of the members to make", positional=True)
    seeds: tuple[int, ...] = option("seeds of the members, instead of --seed")

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UsageError("--seeds takes one or more seeds, each once")
        if self.train.seed != TrainOptions.seed:
            raise UsageError("asr-kd train-members: --seeds names the seed of each member; leave --seed out")

    def alone(self, seed: int) -> OneMember:
        """One member's training by itself."""
        given = {field.name: getattr(self, field.name) for field in fields(OneMember)}
        own = {"out": self.out / str(seed), "train": replace(self.train, seed=seed)}
        return OneMember(**given | own)


def run(options: Options) -> None:
    inputs = training_inputs(options.frames, options.labels, options.dev_frames, options.dev_labels)
    # In one order, however they are given: what was begun is carried on.
    members = [options.alone(seed) for seed in sorted(options.seeds)]
    stages = {one.train.seed: Stage(one.out, command="train", options=one, inputs=inputs) for one in members}
    missing = {seed: stage for seed, stage in stages.items() if not stage.finished()}
    if not missing:
        return
    data = TrainingData.load(options.frames, options.labels, options.dev_frames, options.dev_labels)
    if why := _why_one_by_one(options, data, list(missing.values())):
        log.info("the members are trained one after the other: %s", why)
        for seed in missing:
            train_one(options.alone(seed))
        return
    with ExitStack() as finishing:
        directories = [finishing.enter_context(stage.resuming()) for stage in missing.values()]
        train_group(data, options.net, options.train, list(missing), directories, select=options.select)


def _why_one_by_one(options: Options, data: TrainingData, stages: list[Stage]) -> str:
    """Why the members cannot be trained together; what was begun in one way is carried on so."""
    if options.watch != WatchOptions():
        return "further sets are watched for one network at a time"
    if stages[0].begun and (stages[0].partial / GROUP_FOLDER).exists():
        return ""
    if any(stage.begun and (stage.partial / CHECKPOINT_FILE).exists() for stage in stages):
        return "some were begun so"
    return why_not_together(data, options.net, options.train, len(stages))
