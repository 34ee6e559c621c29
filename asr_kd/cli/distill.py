"""Train a student on an ensemble's soft targets: soft_weight T^2 CE(p_T, q_T) + hard_weight CE(y, q_1)."""

from dataclasses import dataclass
from pathlib import Path

import torch

from asr_kd.cli.train import training_inputs
from asr_kd.distill.hinton import DistillObjective, DistillWeights, LiveTeacher, StoredLogits, StoredTeacher
from asr_kd.distill.mixing import mix
from asr_kd.distill.transfer import WeightedStores, check_weights
from asr_kd.errors import UsageError
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.acoustic_model import AcousticModel, check_states, models_fingerprint
from asr_kd.nets.dnn import NetOptions
from asr_kd.options import group, option
from asr_kd.stage import Stage, digest, fingerprint
from asr_kd.targets.ensemble import MEANS
from asr_kd.targets.store import SoftTargets, TargetReader
from asr_kd.train.frame_set import FrameSet
from asr_kd.train.loop import TrainOptions
from asr_kd.train.model_training import TrainingData, train_model
from asr_kd.train.objective import Objective
from asr_kd.train.ranks import joined
from asr_kd.train.selection import SelectOptions
from asr_kd.train.watching import WatchOptions


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: tuple[Path, ...] = option("frame stores of the transfer set, labelled or not", positional=True)
    out: Path = option("model directory to make", positional=True)
    labels: tuple[Path, ...] = option("labels of those frame stores that have some", default=(), affects_result=False)
    dev_frames: Path = option("frame store the student is watched on", affects_result=False)
    dev_labels: Path = option("its labels", affects_result=False)
    soft_targets: tuple[Path, ...] = option(
        "soft-target stores of the frame stores, in the same order", default=(), affects_result=False
    )
    teachers: tuple[Path, ...] = option(
        "models of the ensemble: live teachers, or with --soft-targets those that these must come from",
        default=(),
        affects_result=False,
    )
    temperature: float | None = option(
        "T, with live teachers or stored logits; other stored targets carry their own", default=None
    )
    match_logits: bool = option("stored logits: match them, the limit of high temperatures", default=False)
    mix: bool = option("live teachers: they and the student hear mixtures of two frames each", default=False)
    mean: str = option("live teachers: how their distributions are averaged", default="arithmetic", choices=MEANS)
    weights: DistillWeights = group(DistillWeights)
    transfer_weights: tuple[float, ...] = option(
        "how much a frame of each frame store counts, in the same order, relative to the others", default=()
    )
    select: SelectOptions = group(SelectOptions)
    net: NetOptions = group(NetOptions)
    train: TrainOptions = group(TrainOptions)
    watch: WatchOptions = group(WatchOptions)


def run(options: Options) -> None:
    _check(options)
    inputs = training_inputs(options.frames, options.labels, options.dev_frames, options.dev_labels)
    inputs["soft targets"] = digest([fingerprint(path) for path in options.soft_targets])
    inputs["teachers"] = digest(sorted(fingerprint(path) for path in options.teachers))
    stage = Stage(options.out, command="distill", options=options, inputs=inputs)
    if stage.finished():
        return
    data = TrainingData.load(options.frames, options.labels, options.dev_frames, options.dev_labels)
    stored = _stored_targets(options, data) if options.soft_targets else []
    live = [] if stored else _live_teachers(options, data)

    def objective(frames: FrameSet, device: torch.device) -> Objective:
        teacher: StoredTeacher | StoredLogits | LiveTeacher
        if stored and options.match_logits:
            teacher = StoredLogits(TargetReader(stored, device, temperature=1.0))
        elif stored:
            teacher = StoredTeacher(TargetReader(stored, device, temperature=options.temperature))
        else:
            assert options.temperature is not None
            members = [member.to(device, options.train.device.dtype) for member in live]
            teacher = LiveTeacher(members, temperature=options.temperature, mean=options.mean)
        plain = DistillObjective(teacher, frames.labels_N, options.weights)
        if not options.transfer_weights:
            return plain
        counts = [store.num_frames for store in data.stores]
        return WeightedStores(plain, counts, options.transfer_weights, device=device)

    with joined(options.train.device) as ranks, ranks.resuming(stage) as partial:
        train_model(
            data,
            objective,
            options.net,
            options.train,
            partial,
            use_unlabelled=True,
            select=options.select,
            watch=options.watch,
            ranks=ranks,
            transforms=[mix] if options.mix else [],
        )


def _check(options: Options) -> None:
    if not options.soft_targets and not options.teachers:
        raise UsageError("asr-kd distill: give --soft-targets (from asr-kd make-soft-targets) or --teachers")
    if options.weights.hard_weight > 0 and not options.labels:
        raise UsageError("asr-kd distill: --hard-weight above 0 needs --labels; without transcripts give 0")
    if options.mix and options.match_logits:
        raise UsageError("asr-kd distill: --mix asks live teachers, --match-logits stored ones; leave one of them out")
    if options.match_logits and (options.temperature is not None or not options.soft_targets):
        raise UsageError("asr-kd distill: --match-logits needs --soft-targets that hold logits, and no --temperature")
    if options.mix and options.soft_targets:
        raise UsageError("asr-kd distill: --mix asks the teachers for each mixture; leave --soft-targets out")
    if options.mix and options.weights.hard_weight > 0:
        raise UsageError("asr-kd distill: --mix has no labels, for a mixture is of two frames; give --hard-weight 0")
    if not options.soft_targets and options.temperature is None:
        raise UsageError("asr-kd distill: live teachers need --temperature")
    if options.temperature is not None and not options.temperature > 0:
        raise UsageError(f"asr-kd distill: --temperature must be above 0, got {options.temperature}")
    if options.soft_targets and len(options.soft_targets) != len(options.frames):
        raise UsageError(
            f"asr-kd distill: {len(options.frames)} frame stores but {len(options.soft_targets)} --soft-targets; "
            "give one for each, in the same order"
        )
    if options.soft_targets and options.mean != Options.mean:
        raise UsageError("asr-kd distill: stored soft targets are averaged already; leave --mean out")
    if options.transfer_weights:
        check_weights(options.transfer_weights, len(options.frames))


def _stored_targets(options: Options, data: TrainingData) -> list[SoftTargets]:
    """The soft targets, checked against frames, states and, where they are named, the models."""
    members = {path: AcousticModel.load(path) for path in options.teachers}
    ensemble = models_fingerprint(members) if members else None
    stored = [SoftTargets(path) for path in options.soft_targets]
    for targets, store in zip(stored, data.stores, strict=True):
        if options.match_logits and not targets.logits:
            raise UsageError(
                f"--match-logits: {targets.path} holds probabilities; make-soft-targets --logits keeps logits"
            )
        targets.check(store, states_fingerprint=data.dev_labels.states_fingerprint, members_fingerprint=ensemble)
    return stored


def _live_teachers(options: Options, data: TrainingData) -> list[AcousticModel]:
    """The members of the ensemble, checked against the frames and the labels' states."""
    members = load_models(options.teachers, data.stores[0], torch.device("cpu"))
    for path, member in members.items():
        check_states(member, data.dev_labels.states_fingerprint, model_path=path, other_path=data.dev_labels.path)
    return list(members.values())
