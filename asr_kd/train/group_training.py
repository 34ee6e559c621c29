"""Members of an ensemble trained together in one process: one step for all of them.

Where a network keeps a device busy by itself, this gains nothing: on a CPU members train faster side by side, each in a
process of its own.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from asr_kd.errors import MismatchError, UsageError
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel
from asr_kd.nets.device import prepare
from asr_kd.nets.dnn import DNN, NetOptions, num_parameters
from asr_kd.nets.group import DNNGroup
from asr_kd.stage import write_json
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import FrameSet, GroupFrames
from asr_kd.train.loop import Trainer, TrainOptions
from asr_kd.train.metrics import METRICS_FILE
from asr_kd.train.model_training import TrainingData
from asr_kd.train.objective import HardTargets
from asr_kd.train.selection import SelectOptions
from asr_kd.train.shuffle import frames_that_fit, free_bytes

log = logging.getLogger(__name__)

GROUP_FOLDER, GROUP_FILE = "group", "group.json"


class GroupDevSet:
    """The mean of the members' accuracies and cross-entropies.

    Args:
        dev: what each of them is watched on.
        nets: networks of the members' shape, to look at their weights with.
    """

    def __init__(self, dev: DevSet, nets: Sequence[DNN]) -> None:
        self._dev, self._nets = dev, nets

    def evaluate(self, net: nn.Module) -> tuple[float, float]:
        """Frame accuracy (0..1) and cross-entropy (nats) of a group."""
        assert isinstance(net, DNNGroup)
        net.copy_to(self._nets)
        found = [self._dev.evaluate(own) for own in self._nets]
        accuracy, cross_entropy = (sum(values) / len(found) for values in zip(*found, strict=True))
        return accuracy, cross_entropy


def fits(data: TrainingData, options: TrainOptions) -> bool:
    """Whether all frames can be on the device at once, which a group needs."""
    device = prepare(options.device)
    return options.shuffle.shuffle_frames is None and not frames_that_fit(data.stores, free_bytes(device) // 2)


def train_group(
    data: TrainingData,
    net_options: NetOptions,
    options: TrainOptions,
    seeds: Sequence[int],
    directories: Sequence[Path],
    *,
    select: SelectOptions,
) -> None:
    """Train members with cross-entropy and save each in a directory of its own; carries on where it was interrupted.

    A member hears the frames in the order of its seed and starts from that seed's weights, as when it is trained alone.
    What dropout leaves out is drawn for all together: with it, a member is another one than alone, though as good.

    Args:
        data: `fits`.
        options: its seed is not used.
        seeds: of the members.
        directories: of the members. Checkpoints lie in the first one until all models are there.

    Raises:
        MismatchError: a store without labels.
        UsageError: the options are for networks that are trained alone.
    """
    if options.early_stopping or options.optimizer.schedule == "newbob" or options.jitter:
        raise UsageError("--early-stopping, --schedule newbob and --jitter are for networks that are trained alone")
    for store, labels in zip(data.stores, data.labels, strict=True):
        if labels is None:
            raise MismatchError(f"{store.path}: none of the labels given are of these frames; run asr-kd align on them")
    device = prepare(options.device)
    folder = directories[0] / GROUP_FOLDER
    if not folder.exists() and all((directory / MODEL_FILE).exists() for directory in directories):
        return
    _begin(folder, seeds)
    selected = data.select(select)
    frames = FrameSet(
        data.stores,
        [None if labels is None else labels.pdfs for labels in data.labels],
        use_unlabelled=False,
        selected=selected,
        device=device,
    )
    card = data.card(net_options)
    nets = [card.new_net(seed=seed).to(device) for seed in seeds]
    group = DNNGroup(nets).to(device)
    log.info("%d x %d parameters, %d frames an epoch, %s", len(nets), num_parameters(nets[0]), len(frames), device)
    dev = GroupDevSet(
        DevSet(data.dev_store, data.dev_labels.pdfs, device=device, dtype=options.device.dtype),
        [card.new_net(seed=seed).to(device) for seed in seeds],
    )
    objective = HardTargets(frames.labels_N)
    Trainer(group, GroupFrames(frames, seeds), objective, dev, options, folder).run()
    group.copy_to(nets)
    prior_P = data.log_prior(selected)
    assert prior_P is not None
    for net, directory in zip(nets, directories, strict=True):
        for name in (GROUP_FILE, METRICS_FILE):
            shutil.copyfile(folder / name, directory / name)
        AcousticModel(card, net.eval(), prior_P.to(device)).save(directory)
    shutil.rmtree(folder)


def _begin(folder: Path, seeds: Sequence[int]) -> None:
    """Make the folder of checkpoints, and empty it if what it holds is of other members."""
    about = folder / GROUP_FILE
    if about.exists() and json.loads(about.read_text(encoding="utf-8"))["seeds"] == list(seeds):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(about, {"seeds": list(seeds)})
