"""Members of an ensemble trained together in one process: one step for all of them.

Where a network keeps a device busy by itself, this gains nothing: on a CPU members train faster side by side, each in a
process of its own.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel
from asr_kd.nets.device import prepare
from asr_kd.nets.dnn import DNN, NetOptions, num_parameters
from asr_kd.nets.free_memory import free_bytes
from asr_kd.nets.group import DNNGroup
from asr_kd.stage import write_json
from asr_kd.train.checkpoint import CHECKPOINT_FILE, DONE_GROUP_FOLDER, GROUP_FOLDER
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import GroupFrames
from asr_kd.train.loop import Trainer, TrainOptions
from asr_kd.train.metrics import METRICS_FILE, epochs_done
from asr_kd.train.model_training import TrainingData, discard_group
from asr_kd.train.objective import HardTargets
from asr_kd.train.selection import SelectOptions
from asr_kd.train.shuffle import SHUFFLE_FILE, frames_that_fit

log = logging.getLogger(__name__)

GROUP_FILE = "group.json"
# Weights, their gradients and two moments, each member's own net, and half-precision copies: bytes of a weight.
BYTES_A_WEIGHT = 24
# Logits, their gradient and what the loss needs, bytes of a class of a frame; the frame's place in the epoch's order.
BYTES_A_LOGIT, BYTES_A_PLACE = 16, 4
NO_ROOM = "they do not fit in memory with all frames at once"


class GroupDevSet:
    """The mean of the members' accuracies and cross-entropies.

    Args:
        dev: what each of them is watched on.
        net: of the members' shape, to look at their weights with one after the other.
    """

    def __init__(self, dev: DevSet, net: DNN) -> None:
        self._dev, self._net = dev, net

    def evaluate(self, net: nn.Module) -> tuple[float, float]:
        """Frame accuracy (0..1) and cross-entropy (nats) of a group."""
        assert isinstance(net, DNNGroup)
        found = []
        for member in range(net.num_members):
            net.copy_to(self._net, member)
            found.append(self._dev.evaluate(self._net))
        accuracy, cross_entropy = (sum(values) / len(found) for values in zip(*found, strict=True))
        return accuracy, cross_entropy


def why_not_together(data: TrainingData, net_options: NetOptions, options: TrainOptions, num_members: int) -> str:
    """What keeps members from being trained together; empty where nothing does."""
    if why := why_one_by_one(options):
        return why
    card = data.card(net_options)
    weights = num_parameters(card.new_net(seed=1))
    frames = sum(store.num_frames for store in data.stores)
    room = free_bytes(prepare(options.device)) // 2
    room -= num_members * member_bytes(weights, card.num_pdfs, options.batch_size, frames)
    if frames_that_fit(data.stores, max(room, 0)) is not None:
        return NO_ROOM
    return ""


def why_one_by_one(options: TrainOptions) -> str:
    """Which option keeps members from being trained together; empty where none does."""
    if options.early_stopping or options.optimizer.schedule == "newbob":
        return "each may end at another time"
    if options.jitter:
        return "images are shifted for one network at a time"
    return NO_ROOM if options.shuffle.shuffle_frames is not None else ""


def member_bytes(weights: int, num_pdfs: int, batch_size: int, num_frames: int) -> int:
    """What one member takes of a group's memory, beside the features."""
    return BYTES_A_WEIGHT * weights + BYTES_A_LOGIT * num_pdfs * batch_size + BYTES_A_PLACE * num_frames


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
    What dropout leaves out is drawn for all together, from the first seed: with it, a member is another one than alone,
    though as good.

    Args:
        data: `why_not_together` says nothing.
        options: the seed is that of the members.
        seeds: of the members, in the same order whenever they are trained on.
        directories: of the members. Checkpoints lie in the first one until all models are there.

    Raises:
        DataError: no frame with a label is selected.
        MismatchError: a store without labels.
    """
    data.check_labelled()
    device = prepare(options.device)
    folder = directories[0] / GROUP_FOLDER
    no_more_needed = directories[0] / DONE_GROUP_FOLDER
    shutil.rmtree(no_more_needed, ignore_errors=True)
    if not folder.exists() and all((directory / MODEL_FILE).exists() for directory in directories):
        return
    _begin(folder, seeds, directories)
    selected = data.select(select, use_unlabelled=False)
    frames = data.frame_set(selected, use_unlabelled=False, device=device)
    card = data.card(net_options)
    nets = [card.new_net(seed=seed).to(device) for seed in seeds]
    group = DNNGroup(nets).to(device)
    log.info("%d x %d parameters, %d frames an epoch, %s", len(nets), num_parameters(nets[0]), len(frames), device)
    dev = DevSet(data.dev_store, data.dev_labels.pdfs, device=device, dtype=options.device.dtype)
    Trainer(
        group,
        GroupFrames(frames, seeds),
        HardTargets(frames.labels_N),
        GroupDevSet(dev, card.new_net(seed=seeds[0]).to(device)),
        replace(options, seed=seeds[0]),
        folder,
    ).run()
    prior_P = data.log_prior(selected)
    assert prior_P is not None
    for member, (net, directory) in enumerate(zip(nets, directories, strict=True)):
        group.copy_to(net, member)
        for name in (GROUP_FILE, METRICS_FILE):
            shutil.copyfile(folder / name, directory / name)
        shutil.copytree(folder / "tensorboard", directory / "tensorboard", dirs_exist_ok=True)
        AcousticModel(card, net.eval(), prior_P.to(device)).save(directory)
    folder.rename(no_more_needed)  # at once, so that none who is killed here leaves half of it, to be trained again
    shutil.rmtree(no_more_needed)


def _begin(folder: Path, seeds: Sequence[int], directories: Sequence[Path]) -> None:
    """Make the folder of checkpoints; what is left of other members, or of one that was begun alone, goes."""
    about = folder / GROUP_FILE
    carries_on = about.exists() and json.loads(about.read_text(encoding="utf-8"))["seeds"] == list(seeds)
    why = f"the seeds {' '.join(map(str, seeds))} are trained together now"
    for directory in directories:
        if (directory / CHECKPOINT_FILE).exists():
            log.warning("%s: %d epochs of it alone are thrown away: %s", directory, epochs_done(directory), why)
        for name in (CHECKPOINT_FILE, SHUFFLE_FILE):
            (directory / name).unlink(missing_ok=True)
        if directory / GROUP_FOLDER != folder or not carries_on:
            discard_group(directory, why)
    if carries_on:
        return
    folder.mkdir(parents=True)
    write_json(about, {"seeds": list(seeds)})
