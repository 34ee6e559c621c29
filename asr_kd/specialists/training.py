"""From a generalist and a subset of its states to a trained specialist in a directory.

Legend: N frames.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from asr_kd.errors import DataError, MismatchError
from asr_kd.hmm.labels import log_prior
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel, ModelCard
from asr_kd.nets.device import prepare
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.specialists.objective import DustbinTargets, RegularizedTargets
from asr_kd.specialists.paired_frames import PairedFrames
from asr_kd.specialists.specialist import DUSTBIN, REGULARIZED, write_card
from asr_kd.specialists.start import start_from
from asr_kd.specialists.subset import Subset
from asr_kd.train.checkpoint import CHECKPOINT_FILE
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import FrameSet, store_names
from asr_kd.train.loop import Trainer, TrainOptions, log
from asr_kd.train.model_training import TrainingData, train_model
from asr_kd.train.objective import HardTargets, Objective
from asr_kd.train.shuffle import decided_shuffle


def train_specialist(
    data: TrainingData,
    generalist: AcousticModel,
    subset: Subset,
    options: TrainOptions,
    directory: Path,
    *,
    regularize: bool,
    dropout: float | None = None,
) -> AcousticModel:
    """Train a specialist and save it in ``directory``; carries on from a checkpoint found there.

    Args:
        regularize: keep an output for every state, and train frames outside on the generalist's soft targets.
        dropout: of the specialist's hidden layers; None for the generalist's.

    Raises:
        DataError: not one frame inside the subset, or outside.
        MismatchError: the generalist's features or states are not those of the data.
    """
    check_generalist(data, generalist)
    device = prepare(options.device)
    if (directory / MODEL_FILE).exists() and not (directory / CHECKPOINT_FILE).exists():
        return AcousticModel.load(directory).to(device)
    generalist = generalist.to(device, options.device.dtype)
    kind = REGULARIZED if regularize else DUSTBIN
    card = specialist_card(data, generalist, subset, kind=kind, dropout=dropout)
    frames = paired_frames(data, subset, options, directory, device=device, collapse=not regularize)
    net = card.new_net(seed=options.seed).to(device)
    objective: Objective
    if regularize:
        copy_weights(generalist.net, net)
        inside_P = torch.from_numpy(subset.mask()).to(device)
        objective = RegularizedTargets(generalist, frames.labels_N, inside_P, oversampling=frames.oversampling)
    else:
        start_from(generalist, net, subset, data.stores[0])
        objective = DustbinTargets(frames.labels_N, oversampling=frames.oversampling)
    log.info(
        "%d states, %d frames an epoch, oversampled %.3g times", len(subset.pdfs), len(frames), frames.oversampling
    )
    dev_labels = data.dev_labels.pdfs if regularize else subset.classes(data.dev_labels.pdfs)
    dev = DevSet(data.dev_store, dev_labels, device=device, dtype=options.device.dtype)
    trainer = Trainer(net, frames, objective, dev, options, directory, image=card.image)
    trainer.run()
    write_card(
        directory,
        subset,
        kind=kind,
        states_fingerprint=generalist.card.states_fingerprint,
        generalist=generalist,
        ratio=frames.oversampling,
    )
    labels = [own.pdfs if regularize else subset.classes(own.pdfs) for own in data.given_labels]
    model = AcousticModel(card, net.eval(), torch.from_numpy(log_prior(labels, card.num_pdfs)).to(device))
    model.save(directory)
    (directory / CHECKPOINT_FILE).unlink()
    return model


def train_on(
    data: TrainingData,
    generalist: AcousticModel,
    options: TrainOptions,
    directory: Path,
    *,
    dropout: float | None = None,
) -> AcousticModel:
    """Train a generalist itself on, over all labelled frames alike: what specialists are to be compared with."""
    net_options = _net_options(generalist, dropout)
    start_card = replace(generalist.card, net=net_options)
    start = AcousticModel(start_card, start_card.new_net(seed=0), generalist.log_prior)
    copy_weights(generalist.net, start.net)
    check_generalist(data, generalist)
    return train_model(
        data, lambda frames, _: HardTargets(frames.labels_N), net_options, options, directory, start=start
    )


def specialist_card(
    data: TrainingData, generalist: AcousticModel, subset: Subset, *, kind: str, dropout: float | None
) -> ModelCard:
    """The generalist's card with the specialist's classes."""
    return replace(
        generalist.card,
        net=_net_options(generalist, dropout),
        num_pdfs=len(subset.pdfs) + 1 if kind == DUSTBIN else subset.num_pdfs,
        states_fingerprint=subset.fingerprint(generalist.card.states_fingerprint, kind=kind),
        trained_on=store_names(data.stores),
    )


def paired_frames(
    data: TrainingData,
    subset: Subset,
    options: TrainOptions,
    directory: Path,
    *,
    device: torch.device,
    collapse: bool,
) -> PairedFrames:
    """The labelled frames inside a subset and those outside.

    Args:
        collapse: whether labels are a specialist's classes; else they are pdf ids.

    Raises:
        DataError: there are none inside, or none outside.
    """
    pdfs = [None if own is None else own.pdfs for own in data.labels]
    labels = [own if own is None or not collapse else subset.classes(own) for own in pdfs]
    inside_P = subset.mask()
    begun = (directory / CHECKPOINT_FILE).exists()
    shuffle = decided_shuffle(options.shuffle, data.stores, directory, device=device, begun=begun, num_sets=2)

    def selected(inside: bool, beside: FrameSet | None = None) -> FrameSet:
        masks = [
            np.zeros(store.num_frames, dtype=bool) if own is None else (own >= 0) & (inside_P[own] == inside)
            for store, own in zip(data.stores, pdfs, strict=True)
        ]
        if not any(mask.any() for mask in masks):
            where = "inside" if inside else "outside"
            raise DataError(f"{directory}: not one training frame {where} the cluster; it needs no specialist")
        return FrameSet(
            data.stores,
            labels,
            use_unlabelled=False,
            selected=masks,
            device=device,
            shuffle_frames=shuffle,
            beside=beside,
        )

    inside = selected(True)
    return PairedFrames(inside, selected(False, beside=inside))


def copy_weights(source: DNN, net: DNN) -> None:
    """Copy all weights of a network of the same layers, whatever the dropout between them is."""
    with torch.no_grad():
        for own, given in zip(net.parameters(), source.parameters(), strict=True):
            own.copy_(given)


def _net_options(generalist: AcousticModel, dropout: float | None) -> NetOptions:
    return generalist.card.net if dropout is None else replace(generalist.card.net, dropout=dropout)


def check_generalist(data: TrainingData, generalist: AcousticModel) -> None:
    """Check that a generalist predicts the states of the labels from the features of the frames.

    Raises:
        MismatchError: it does not.
    """
    store = data.stores[0]
    pairs = [
        ("features", generalist.card.features_fingerprint, store.features_fingerprint, str(store.path)),
        ("states", generalist.card.states_fingerprint, data.dev_labels.states_fingerprint, str(data.dev_labels.path)),
    ]
    for what, made, now, where in pairs:
        if made != now:
            raise MismatchError(f"the generalist has the {what} {made}, {where} the {what} {now}: use one set of both")
