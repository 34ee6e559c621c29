"""Train a specialist for one cluster of a generalist's states, with a dustbin for all others."""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.cli.train import training_inputs
from asr_kd.errors import MismatchError, UsageError
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.options import group, option
from asr_kd.specialists.clusters import Clusters
from asr_kd.specialists.subset import Subset
from asr_kd.specialists.training import check_generalist, train_on, train_specialist
from asr_kd.stage import Stage, fingerprint
from asr_kd.train.loop import TrainOptions
from asr_kd.train.model_training import TrainingData


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: tuple[Path, ...] = option("frame stores to train on", positional=True)
    out: Path = option("specialist's directory to make", positional=True)
    generalist: Path = option("model to start from", affects_result=False)
    clusters: Path | None = option(
        "clusters of its states, from asr-kd cluster-states. Without: the generalist itself is trained on, over all "
        "frames alike, to compare with",
        default=None,
        affects_result=False,
    )
    cluster: int | None = option("number of the specialist's cluster, from 0", default=None)
    regularize: bool = option(
        "keep an output for every state, and train frames outside the cluster on the generalist's soft targets",
        default=False,
    )
    labels: tuple[Path, ...] = option("labels of the frame stores, in any order", affects_result=False)
    dev_frames: Path = option("frame store the network is watched on", affects_result=False)
    dev_labels: Path = option("its labels", affects_result=False)
    dropout: float | None = option("dropout of the hidden layers (default: the generalist's)", default=None)
    train: TrainOptions = group(TrainOptions)


def run(options: Options) -> None:
    if (options.clusters is None) != (options.cluster is None):
        raise UsageError("asr-kd train-specialist: give --clusters and --cluster together, or neither")
    if options.regularize and options.clusters is None:
        raise UsageError("asr-kd train-specialist: --regularize trains frames outside a cluster; give --clusters")
    inputs = training_inputs(options.frames, options.labels, options.dev_frames, options.dev_labels)
    inputs["generalist"] = fingerprint(options.generalist)
    if options.clusters is not None:
        inputs["clusters"] = fingerprint(options.clusters)
    stage = Stage(options.out, command="train-specialist", options=options, inputs=inputs)
    if stage.finished():
        return
    data = TrainingData.load(options.frames, options.labels, options.dev_frames, options.dev_labels)
    generalist = AcousticModel.load(options.generalist)
    check_generalist(data, generalist)
    subset = _subset(options, generalist)
    with stage.resuming() as partial:
        if subset is None:
            train_on(data, generalist, options.train, partial, dropout=options.dropout)
        else:
            train_specialist(
                data,
                generalist,
                subset,
                options.train,
                partial,
                regularize=options.regularize,
                dropout=options.dropout,
            )


def _subset(options: Options, generalist: AcousticModel) -> Subset | None:
    """The cluster's states; None where all are trained on."""
    if options.clusters is None or options.cluster is None:
        return None
    clusters = Clusters.load(options.clusters)
    if clusters.meta["states_fingerprint"] != generalist.card.states_fingerprint:
        raise MismatchError(
            f"{options.clusters} are clusters of the states {clusters.meta['states_fingerprint']}, "
            f"{options.generalist} predicts the states {generalist.card.states_fingerprint}; "
            "run asr-kd cluster-states with this generalist"
        )
    return Subset(clusters.subset(options.cluster), generalist.card.num_pdfs)
