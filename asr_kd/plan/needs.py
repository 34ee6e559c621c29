"""What training an ensemble and distilling it will need: disk, memory and time, before anything runs.

Sizes are arithmetic (`footprint`). Times are arithmetic on speeds, which this machine's calibration or a GPU's data
sheet gives.
"""

import heapq
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_kd.distill.hinton import DistillWeights
from asr_kd.nets.dnn import NetOptions
from asr_kd.plan.calibration import NetSpeed
from asr_kd.plan.cards import CONTEXT_BYTES, Card
from asr_kd.plan.footprint import (
    DENSE_PROB_BYTES,
    LABEL_BYTES,
    NPY_HEADER_BYTES,
    PROGRAM_BYTES,
    NetShape,
    Speech,
    averaging_bytes,
    record_layout,
    soft_target_bytes,
)
from asr_kd.targets.store import SoftTargetOptions
from asr_kd.train.dev_set import MAX_FRAMES
from asr_kd.train.group_training import BYTES_A_PLACE, member_bytes, why_one_by_one
from asr_kd.train.loop import TrainOptions
from asr_kd.train.shuffle import BUFFERS, BYTES_BESIDE_FEATURES


@dataclass(frozen=True, kw_only=True)
class Training:
    """Networks of one kind that are trained on the same frames: the members, or the students of one conf.

    Args:
        copies: how many, one for each seed.
        together: how many of them are trained in one step.
        weights: of a student's terms; None for networks that learn from labels alone.
    """

    name: str
    shape: NetShape
    net: NetOptions
    train: TrainOptions
    copies: int
    together: int = 1
    weights: DistillWeights | None = None

    @property
    def optimizer(self) -> str:
        """Which one updates the weights."""
        return self.train.optimizer.optimizer


@dataclass(frozen=True, kw_only=True)
class Work:
    """Everything that will be made.

    Args:
        labelled: what the members are trained on.
        transfer: what the students are trained on: that, and untranscribed speech.
        nj: processes side by side on a CPU, and threads that average and pack soft targets.
        on_gpu: whether networks train and run on one GPU, one run after the other.
    """

    labelled: Speech
    transfer: Speech
    members: Training
    students: Sequence[Training]
    targets: SoftTargetOptions
    nj: int
    on_gpu: bool = False

    @property
    def num_pdfs(self) -> int:
        """P."""
        return self.members.shape.num_pdfs

    @property
    def trainings(self) -> list[Training]:
        """The members and every kind of student."""
        return [self.members, *self.students]

    @property
    def places(self) -> int:
        """Runs that train at the same time."""
        return 1 if self.on_gpu else self.nj

    def speech_of(self, training: Training) -> Speech:
        """What networks of a kind are trained on."""
        return self.transfer if training.weights else self.labelled


def trained_together(members: Training, speech: Speech, *, device_bytes: float) -> int:
    """How many members one step trains on a GPU: all, or one where options or memory ask for that.

    Args:
        device_bytes: free on the GPU before training.
    """
    shape, train = members.shape, members.train
    own = member_bytes(shape.num_parameters, shape.num_pdfs, train.batch_size, speech.num_frames)
    needed = members.copies * own + speech.feats_bytes + BYTES_BESIDE_FEATURES * speech.num_frames
    return 1 if why_one_by_one(train) or needed > device_bytes / 2 else members.copies


def disk_bytes(work: Work) -> dict[str, int]:
    """Bytes on disk of everything that stays, and of what interrupted runs carry on from."""
    frames = work.transfer.num_frames
    models = sum(training.copies * training.shape.model_bytes for training in work.trainings)
    under_way = [
        min(work.places * training.together, training.copies) * training.shape.checkpoint_bytes(training.optimizer)
        for training in work.trainings
    ]
    return {
        "features": work.transfer.feats_bytes + NPY_HEADER_BYTES,
        "labels": LABEL_BYTES * work.labelled.num_frames + NPY_HEADER_BYTES,
        "soft_targets": frames * soft_target_bytes(work.num_pdfs, work.targets) + NPY_HEADER_BYTES,
        "models": models,
        "checkpoints": max(under_way),
    }


def soft_target_forms(work: Work, tops: Sequence[int]) -> dict[str, int]:
    """Bytes on disk of the soft targets in other forms than the one asked for."""
    frames = work.transfer.num_frames
    layouts = {top: record_layout(work.num_pdfs, top, work.targets.tail_samples) for top in tops if top < work.num_pdfs}
    forms = {f"top {top} + {layout.tail}": layout.num_bytes * frames for top, layout in layouts.items()}
    return forms | {"dense": DENSE_PROB_BYTES * work.num_pdfs * frames}


def training_memory(work: Work, training: Training, *, processes: int) -> int:
    """Resident bytes of processes that train networks of a kind side by side; what lies on a GPU is not among them.

    Features that are all shuffled at once, and soft targets, are mapped from disk, so that processes share their pages;
    the rest is each one's own.
    """
    frames = work.speech_of(training).num_frames
    feats, streamed = _features_in_memory(work, training)
    soft = frames * soft_target_bytes(work.num_pdfs, work.targets) if training.weights else 0
    shared = soft + (0 if streamed else feats)
    own = PROGRAM_BYTES + BYTES_BESIDE_FEATURES * frames + (feats if streamed else 0)
    # A checkpoint is copied before it is written.
    net = training.shape.checkpoint_bytes(training.optimizer)
    if not work.on_gpu:
        net += training.shape.state_bytes(training.optimizer)
        net += training.shape.activation_bytes(training.train.batch_size)
    # The present order of frames of each network, the next one, and what it is put together from.
    orders = 3 * BYTES_A_PLACE * frames if training.together > 1 else 0
    return shared + processes * (own + training.together * (net + orders))


def _features_in_memory(work: Work, training: Training) -> tuple[int, bool]:
    """Bytes of features in memory, and whether these are buffers of a process's own."""
    speech, at_once = work.speech_of(training), training.train.shuffle.shuffle_frames
    if at_once is None or at_once >= speech.num_frames:
        return speech.feats_bytes, False
    return BUFFERS * at_once * speech.feats_bytes // speech.num_frames, True


def memory_bytes(work: Work) -> dict[str, int]:
    """Resident bytes of each part of the work, by itself and side by side."""
    found: dict[str, int] = {}
    for training in work.trainings:
        beside = min(work.places, training.copies // training.together)
        together = f"{training.together} together" if training.together > 1 else "one"
        found[f"{training.name}: {together}"] = training_memory(work, training, processes=1)
        if beside > 1:
            found[f"{training.name}: {beside} side by side"] = training_memory(work, training, processes=beside)
    models = work.members.copies * work.members.shape.num_parameters * 6
    each = averaging_bytes(work.num_pdfs, work.members.copies, work.transfer.num_frames)
    found[f"soft targets: {work.nj} threads"] = PROGRAM_BYTES + models + work.nj * each
    return found


def gpu_memory_bytes(work: Work, training: Training) -> dict[str, int]:
    """Bytes on a GPU during one run of a kind, corpus and all."""
    speech, networks = work.speech_of(training), training.together
    targets = speech.num_frames * soft_target_bytes(work.num_pdfs, work.targets) if training.weights else 0
    places = BYTES_A_PLACE * (networks - 1)
    return {
        "features": _features_in_memory(work, training)[0] + (BYTES_BESIDE_FEATURES + places) * speech.num_frames,
        "soft_targets": targets,
        "network": networks * training.shape.state_bytes(training.optimizer),
        "batch": networks * training.shape.activation_bytes(training.train.batch_size) + CONTEXT_BYTES,
    }


def run_seconds(work: Work, training: Training, speed: NetSpeed) -> float:
    """Time of one run: steps, and looks at the dev set, of one network after the other."""
    frames, train = work.speech_of(training).num_frames, training.train
    steps = train.num_epochs * -(-frames // train.batch_size)
    looks = sum(map(train.looks_after, range(1, train.num_epochs + 1)))
    watching = looks * training.together * min(MAX_FRAMES, frames) * speed.forward_seconds
    return steps * speed.step_seconds + watching


def side_by_side(seconds: Sequence[float], nj: int) -> float:
    """Time of jobs that start in order, each as soon as one of ``nj`` places is free."""
    places = [0.0] * nj
    for one in seconds:
        heapq.heapreplace(places, places[0] + one)
    return max(places)


def time_seconds(work: Work, speeds: Mapping[str, NetSpeed], averaging_seconds: float) -> dict[str, float]:
    """Time of each part of the work.

    Args:
        speeds: of each kind of network, by its name.
        averaging_seconds: of one frame, to average the members' outputs and pack the result.
    """
    one = {training.name: run_seconds(work, training, speeds[training.name]) for training in work.trainings}
    members = work.members
    forward = members.copies * speeds[members.name].forward_seconds / work.places
    students = [one[student.name] for student in work.students for _ in range(student.copies)]
    return {f"one run: {name}": seconds for name, seconds in one.items()} | {
        "members": side_by_side([one[members.name]] * (members.copies // members.together), work.places),
        "soft_targets": work.transfer.num_frames * (forward + averaging_seconds / work.nj),
        "students": side_by_side(students, work.places),
    }


def predicted(card: Card, trainings: Sequence[Training]) -> dict[str, NetSpeed]:
    """Speeds on a GPU, from its data sheet."""
    return {
        one.name: NetSpeed(
            step_seconds=card.step_seconds(one.shape, one.train.batch_size, one.optimizer, together=one.together),
            forward_seconds=card.forward_seconds(one.shape),
        )
        for one in trainings
    }


def storage(directory: Path) -> dict[str, int]:
    """Memory of this machine, and what is free on a directory's disk, in bytes."""
    return {
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk_free_bytes": shutil.disk_usage(directory).free,
    }
