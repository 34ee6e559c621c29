"""Say what training an ensemble and distilling it will need of disk, memory and time, before anything runs.

Speech is told by frame stores or by hours. With frame stores and trained models, the fidelity of the soft-target
store is measured on one's own data.
"""

import dataclasses
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asr_kd.bench.machine import describe
from asr_kd.distill.hinton import DistillWeights
from asr_kd.errors import MismatchError, UsageError
from asr_kd.frames.build import FeatureOptions
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.acoustic_model import AcousticModel, ModelCard, check_same_states
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.nets.dnn import NetOptions
from asr_kd.nets.free_memory import free_bytes
from asr_kd.options import group, option, parse, to_dict
from asr_kd.plan.calibration import NetSpeed, measure_averaging, measure_net
from asr_kd.plan.cards import CARDS, CONTEXT_BYTES
from asr_kd.plan.fidelity import measure_fidelity, recommendation
from asr_kd.plan.footprint import NetShape, Speech, soft_target_bytes
from asr_kd.plan.needs import (
    Training,
    Work,
    disk_bytes,
    gpu_memory_bytes,
    memory_bytes,
    predicted,
    soft_target_forms,
    storage,
    time_seconds,
    trained_together,
)
from asr_kd.plan.table import render
from asr_kd.stage import write_json
from asr_kd.targets.store import SoftTargetOptions
from asr_kd.train.frame_set import check_same_features
from asr_kd.train.loop import TrainOptions
from asr_kd.train.schedule import OptimizerOptions
from asr_kd.train.shuffle import ShuffleOptions

log = logging.getLogger(__name__)

FORMS = (8, 16, 64)  # kept probabilities, for comparison with what is asked for
MEMBERS = 10  # the paper's
BY_DEFAULT = "or that of --models by default"
BOTH_TERMS = DistillWeights(soft_weight=1.0, hard_weight=1.0)


@dataclass(frozen=True, kw_only=True)
class StudentConf:
    """What a conf file of `asr-kd distill` with stored soft targets may say; the first four cost nothing."""

    temperature: float | None = option("as of distill", default=None)
    match_logits: bool = option("as of distill", default=False)
    mean: str = option("as of distill", default="arithmetic")
    transfer_weights: tuple[float, ...] = option("as of distill", default=())
    weights: DistillWeights = group(DistillWeights)
    net: NetOptions = group(NetOptions)
    train: TrainOptions = group(TrainOptions)


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: tuple[Path, ...] = option("frame stores of the labelled speech, or --hours", default=(), positional=True)
    extra_frames: tuple[Path, ...] = option("frame stores of what only the students hear", default=())
    models: tuple[Path, ...] = option("trained members, for their shape, input and the store's fidelity", default=())
    hours: float | None = option("labelled speech in hours", default=None)
    extra_hours: float = option("speech that only the students hear, in hours", default=0.0)
    utterance_seconds: float = option("with --hours: mean length of an utterance in s", default=10.0)
    num_pdfs: int | None = option("states, where no --models say it", default=None)
    members: int | None = option(f"size of the ensemble, {MEMBERS} {BY_DEFAULT}", default=None)
    students: int = option("students of each kind, one for each seed", default=1)
    student_conf: tuple[Path, ...] = option("a conf file of asr-kd distill for each kind of student", default=())
    student_num_layers: int | None = option("their hidden layers, if not the members'", default=None)
    student_hidden_dim: int | None = option("their units of a hidden layer, if not the members'", default=None)
    num_layers: int | None = option(f"a member's hidden layers, {NetOptions.num_layers} {BY_DEFAULT}", default=None)
    hidden_dim: int | None = option(f"units of a hidden layer, {NetOptions.hidden_dim} {BY_DEFAULT}", default=None)
    dropout: float | None = option(f"as of train, {NetOptions.dropout:g} {BY_DEFAULT}", default=None)
    input_dropout: float | None = option(f"as of train, {NetOptions.input_dropout:g} {BY_DEFAULT}", default=None)
    num_epochs: int = option("passes over the training frames", default=TrainOptions.num_epochs)
    watch_every: int = option("as of train", default=TrainOptions.watch_every)
    watch_growth: float = option("as of train", default=TrainOptions.watch_growth)
    batch_size: int = option("frames of a step", default=TrainOptions.batch_size)
    optimizer: OptimizerOptions = group(OptimizerOptions)
    shuffle: ShuffleOptions = group(ShuffleOptions)
    targets: SoftTargetOptions = group(SoftTargetOptions)
    features: FeatureOptions = group(FeatureOptions)
    device: DeviceOptions = group(DeviceOptions)
    gpu: str | None = option("predict the time on this GPU instead of measuring here", default=None, choices=[*CARDS])
    nj: int = option("processes side by side; 0 is one for each core", default=0)
    fidelity_frames: int = option("frames the fidelity is measured on", default=4000)
    largest_kl: float = option("KL of a record to the dense soft target in nats that is small enough", default=0.5)
    json: Path | None = option("file to write all figures to", default=None)

    def __post_init__(self) -> None:
        counts = ("num_pdfs", "members", "students", "student_num_layers", "student_hidden_dim", "fidelity_frames")
        for name in (*counts, "hours", "utterance_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"--{name.replace('_', '-')} must be above 0, got {value}")
        if not self.extra_hours >= 0 or self.nj < 0:
            raise UsageError("--extra-hours and --nj must not be negative")


def run(options: Options) -> None:
    if options.targets.logits:
        # They take as many bytes as probabilities, and as long to read.
        dense = dataclasses.replace(options.targets, logits=False, dense=True)
        options = dataclasses.replace(options, targets=dense)
    stores = [FrameStore(path) for path in options.frames]
    extra = [FrameStore(path) for path in options.extra_frames]
    device = prepare(options.device)
    room = _gpu_bytes(options, device)
    models = _models(options, stores, extra, device)
    work = _work(options, stores, extra, [model.card for model in models], room)
    figures: dict[str, Any] = {
        "work": to_dict(work),
        "machine": describe(options.device.device) | storage(Path.cwd()),
        "disk_bytes": disk_bytes(work),
        "soft_target_bytes": soft_target_forms(work, FORMS),
        "memory_bytes": memory_bytes(work),
    }
    if options.gpu:
        figures["gpu"] = {"name": options.gpu} | dataclasses.asdict(CARDS[options.gpu])
        figures["gpu_memory_bytes"] = {one.name: gpu_memory_bytes(work, one) for one in work.trainings}
        speeds = predicted(CARDS[options.gpu], work.trainings)
    else:
        log.info("measuring how fast this machine is; %d kinds of networks", len(work.trainings))
        speeds = {one.name: _measured(work, one) for one in work.trainings}
    averaging = measure_averaging(work.num_pdfs, 1 if work.on_gpu else work.members.copies, work.targets)
    figures["speeds"] = {name: dataclasses.asdict(speed) for name, speed in speeds.items()}
    figures["averaging_seconds"] = averaging
    figures["seconds"] = time_seconds(work, speeds, averaging)
    if models and stores:
        found = measure_fidelity(
            [*stores, *extra], models, options.targets, num_frames=options.fidelity_frames, device=device
        )
        figures["fidelity"] = [dataclasses.asdict(one) for one in found]
        figures["recommendation"] = recommendation(found, options.targets, options.largest_kl)
    print(render(figures))
    if options.json:
        write_json(options.json, figures)


def _models(
    options: Options, stores: Sequence[FrameStore], extra: Sequence[FrameStore], device: torch.device
) -> list[AcousticModel]:
    """The trained members, checked against each other and the frame stores."""
    if not stores:
        models = {path: AcousticModel.load(path) for path in options.models}
        if models:
            check_same_states(models)
        return list(models.values())
    check_same_features([*stores, *extra])
    if not options.models:
        return []
    return list(load_models(options.models, stores[0], device, options.device.dtype).values())


def _work(
    options: Options,
    stores: Sequence[FrameStore],
    extra: Sequence[FrameStore],
    cards: Sequence[ModelCard],
    gpu_bytes: float | None,
) -> Work:
    labelled, added = _speech(options, stores, extra, cards)
    num_pdfs = _num_pdfs(options, cards)
    net = _net(options, cards)
    train = TrainOptions(
        num_epochs=options.num_epochs,
        watch_every=options.watch_every,
        watch_growth=options.watch_growth,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        device=options.device,
        shuffle=options.shuffle,
    )

    def training(name: str, net: NetOptions, train: TrainOptions, copies: int, weights: Any = None) -> Training:
        shape = NetShape.of(net, input_dim=labelled.input_dim, num_pdfs=num_pdfs)
        return Training(name=name, shape=shape, net=net, train=train, copies=copies, weights=weights)

    members = training("members", net, train, options.members or len(cards) or MEMBERS)
    if gpu_bytes is not None:
        members = dataclasses.replace(members, together=trained_together(members, labelled, device_bytes=gpu_bytes))

    confs = {path.stem: _student_conf(path, options) for path in options.student_conf}
    if len(confs) < len(options.student_conf):
        raise UsageError("asr-kd plan: two files of --student-conf have one name, and students are named after them")
    if not confs:
        confs = {"student": StudentConf(weights=BOTH_TERMS, net=_student_net(options, net), train=train)}
    soft_target_bytes(num_pdfs, options.targets)
    return Work(
        labelled=labelled,
        transfer=labelled + added,
        members=members,
        students=[training(name, conf.net, conf.train, options.students, conf.weights) for name, conf in confs.items()],
        targets=dataclasses.replace(options.targets, dense=options.targets.keeps_all(num_pdfs)),
        nj=options.nj or len(os.sched_getaffinity(0)),
        on_gpu=gpu_bytes is not None,
    )


def _gpu_bytes(options: Options, device: torch.device) -> float | None:
    """What is free on the GPU that is planned for; None where the plan is for a CPU."""
    if options.gpu is not None:
        return CARDS[options.gpu].memory_bytes - CONTEXT_BYTES
    return free_bytes(device) if device.type == "cuda" else None


def _speech(
    options: Options, stores: Sequence[FrameStore], extra: Sequence[FrameStore], cards: Sequence[ModelCard]
) -> tuple[Speech, Speech]:
    """What is labelled, and what only the students hear."""
    if stores and (options.hours is not None or options.extra_hours):
        raise UsageError("asr-kd plan: give frame stores or --hours and --extra-hours, not both")
    if stores:
        return Speech.of_stores(stores, like=stores[0]), Speech.of_stores(extra, like=stores[0])
    if options.hours is None:
        raise UsageError("asr-kd plan: say how much labelled speech there is: frame stores, or --hours")
    if extra:
        raise UsageError("asr-kd plan: --extra-frames goes with frame stores; beside --hours give --extra-hours")
    labelled, added = (
        Speech.of_hours(hours, options.utterance_seconds, options.features)
        for hours in (options.hours, options.extra_hours)
    )
    if cards:
        left, right = cards[0].features["left_context"], cards[0].features["right_context"]
        dim = cards[0].input_dim // (left + 1 + right)
        labelled, added = (dataclasses.replace(one, dim=dim, left=left, right=right) for one in (labelled, added))
    return labelled, added


def _num_pdfs(options: Options, cards: Sequence[ModelCard]) -> int:
    if cards:
        _check_agrees(options, "num_pdfs", cards[0].num_pdfs)
        return cards[0].num_pdfs
    if options.num_pdfs is None:
        raise UsageError("asr-kd plan: say how many states there are: --num-pdfs, or --models trained on them")
    return options.num_pdfs


def _net(options: Options, cards: Sequence[ModelCard]) -> NetOptions:
    names = [field.name for field in dataclasses.fields(NetOptions)]
    if cards:
        for name in names:
            _check_agrees(options, name, getattr(cards[0].net, name))
        return cards[0].net
    return NetOptions(**{name: value for name in names if (value := getattr(options, name)) is not None})


def _check_agrees(options: Options, name: str, trained: float) -> None:
    """Check that an option says what the models do, or nothing."""
    asked, flag = getattr(options, name), f"--{name.replace('_', '-')}"
    if asked not in (None, trained):
        raise MismatchError(f"{flag} {asked}, but {options.models[0]} has {trained}: leave {flag} out")


def _student_conf(path: Path, options: Options) -> StudentConf:
    if options.student_num_layers or options.student_hidden_dim:
        raise UsageError("asr-kd plan: --student-conf says the shape; leave out what else begins with --student")
    conf = parse(StudentConf, ["--config", str(path)], command="plan --student-conf", description="")
    return dataclasses.replace(conf, train=dataclasses.replace(conf.train, device=options.device))


def _student_net(options: Options, members: NetOptions) -> NetOptions:
    return dataclasses.replace(
        members,
        num_layers=options.student_num_layers or members.num_layers,
        hidden_dim=options.student_hidden_dim or members.hidden_dim,
        dropout=0.0,
    )


def _measured(work: Work, training: Training) -> NetSpeed:
    return measure_net(
        work.labelled,
        training.net,
        work.num_pdfs,
        training.train,
        targets=work.targets,
        weights=training.weights,
        together=training.together,
    )
