"""From frame stores and labels to a trained acoustic model in a directory.

Legend: N frames, P pdfs.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr_kd.errors import DataError, MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, log_prior, match_labels
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel, ModelCard
from asr_kd.nets.device import autocast, prepare
from asr_kd.nets.dnn import DNN, NetOptions, num_parameters
from asr_kd.train.checkpoint import CHECKPOINT_FILE, DONE_GROUP_FOLDER, GROUP_FOLDER
from asr_kd.train.dev_set import EVAL_FRAMES, DevSet
from asr_kd.train.frame_set import FrameSet, check_same_features, store_names
from asr_kd.train.loop import Trainer, TrainOptions, Transform, log
from asr_kd.train.metrics import epochs_done
from asr_kd.train.objective import Objective
from asr_kd.train.ranks import ALONE, PartOfFrames, Ranks
from asr_kd.train.selection import SelectOptions, report_selection, select_frames
from asr_kd.train.shuffle import decided_shuffle
from asr_kd.train.watching import WatchOptions, watched_sets

PRIOR_FRAMES = 65536


@dataclass(frozen=True)
class TrainingData:
    """What a network learns from and is watched on.

    Attributes:
        labels: of each store, None where a store has none.
    """

    stores: Sequence[FrameStore]
    labels: Sequence[Labels | None]
    dev_store: FrameStore
    dev_labels: Labels

    @staticmethod
    def load(frames: Sequence[Path], labels: Sequence[Path], dev_frames: Path, dev_labels: Path) -> "TrainingData":
        """Read stores and labels and check that they belong together.

        Raises:
            DataError: something is missing, damaged, or without a single label.
            MismatchError: labels of other frames or states, two of the same frames, or frame stores of different
                features.
        """
        stores = [FrameStore(path) for path in frames]
        dev_store = FrameStore(dev_frames)
        check_same_features([*stores, dev_store])
        given = [Labels.load(path) for path in labels]
        dev = match_labels([dev_store, *stores], [Labels.load(dev_labels), *given])[0]
        if dev is None:
            raise MismatchError(f"{dev_labels}: not the labels of {dev_frames}; run asr-kd align again")
        _check_one_each(given)
        for one in (dev, *given):
            if not (one.pdfs >= 0).any():
                raise DataError(f"{one.path}: not one frame has a label")
        # By themselves: the dev set's are none to train on.
        return TrainingData(stores, match_labels(stores, given), dev_store, dev)

    @cached_property
    def given_labels(self) -> list[Labels]:
        """The labels of those stores that have some."""
        return [labels for labels in self.labels if labels is not None]

    def check_labelled(self) -> None:
        """Check that every store has labels.

        Raises:
            MismatchError: one has none.
        """
        for store, labels in zip(self.stores, self.labels, strict=True):
            if labels is None:
                raise MismatchError(
                    f"{store.path}: none of the labels given are of these frames; run asr-kd align on them"
                )

    def card(self, net: NetOptions) -> ModelCard:
        """The card of a model trained on this data."""
        store = self.stores[0]
        return ModelCard(
            net=net,
            input_dim=store.input_dim,
            num_pdfs=self.dev_labels.num_pdfs,
            features=store.meta["features"],
            features_fingerprint=store.features_fingerprint,
            states_fingerprint=self.dev_labels.states_fingerprint,
            trained_on=store_names(self.stores),
        )

    def select(self, options: SelectOptions, *, use_unlabelled: bool) -> list[np.ndarray | None]:
        """The frames of each store that are trained on ``[N]``, None where all are; what remains is logged.

        Args:
            use_unlabelled: whether frames without a label are trained on; they are selected in any case.

        Raises:
            DataError: nothing remains.
            MismatchError: pdfs of a store without labels are asked for.
        """
        selected = [select_frames(*own, options) for own in zip(self.stores, self.labels, strict=True)]
        report_selection(self.stores, self.labels, selected, use_unlabelled=use_unlabelled)
        return selected

    def frame_set(
        self,
        selected: Sequence[np.ndarray | None],
        *,
        use_unlabelled: bool,
        device: torch.device,
        shuffle_frames: int | None = None,
    ) -> FrameSet:
        """The selected frames, to train on."""
        pdfs = [None if labels is None else labels.pdfs for labels in self.labels]
        return FrameSet(
            self.stores,
            pdfs,
            use_unlabelled=use_unlabelled,
            selected=selected,
            device=device,
            shuffle_frames=shuffle_frames,
        )

    def log_prior(self, selected: Sequence[np.ndarray | None]) -> Tensor | None:
        """Log relative frequency ``[P]`` of each pdf in the labels of the selected frames, None if they have none."""
        labels = [
            labels.pdfs if chosen_N is None else labels.pdfs[chosen_N]
            for labels, chosen_N in zip(self.labels, selected, strict=True)
            if labels is not None
        ]
        if not any((pdfs >= 0).any() for pdfs in labels):
            return None
        return torch.from_numpy(log_prior(labels, self.dev_labels.num_pdfs))


def _check_one_each(labels: Sequence[Labels]) -> None:
    first: dict[str, Labels] = {}
    for given in labels:
        other = first.setdefault(given.meta["index_fingerprint"], given)
        if other is not given:
            raise MismatchError(f"{other.path} and {given.path} are labels of the same frames; name one of them")


def discard_group(directory: Path, why: str) -> None:
    """Remove what members that were trained together left in a directory, and warn of it."""
    shutil.rmtree(directory / DONE_GROUP_FOLDER, ignore_errors=True)
    folder = directory / GROUP_FOLDER
    if folder.exists():
        log.warning("%s: %d epochs of members trained together are thrown away: %s", folder, epochs_done(folder), why)
        shutil.rmtree(folder)


@torch.inference_mode()
def learnt_log_prior(net: DNN, frames: FrameSet, *, dtype: str) -> Tensor:
    """Log of the net's mean posterior ``[P]`` over about `PRIOR_FRAMES` of the frames trained on, one added to each.

    Where no frame has a label, what the net has learnt of the pdfs' frequencies stands for their counts, whatever
    temperature and teacher it learnt from (as Kaldi's nnet3-adjust-priors does).
    """
    net.eval()
    sums_P = torch.zeros(0)
    batches = frames.epoch(seed=0, epoch=0, batch_size=EVAL_FRAMES)
    for batch in islice(batches, -(-PRIOR_FRAMES // EVAL_FRAMES)):
        with autocast(frames.device, dtype):
            logits_BP = net(batch.inputs_BW)
        own_P = logits_BP.double().softmax(dim=1).sum(dim=0).cpu()
        sums_P = own_P if not len(sums_P) else sums_P + own_P
    sums_P = sums_P + 1
    return (sums_P / sums_P.sum()).log().float()


def train_model(
    data: TrainingData,
    make_objective: Callable[[FrameSet, torch.device], Objective],
    net_options: NetOptions,
    options: TrainOptions,
    directory: Path,
    *,
    use_unlabelled: bool = False,
    select: SelectOptions | None = None,
    watch: WatchOptions | None = None,
    start: AcousticModel | None = None,
    title: str = "",
    transforms: Sequence[Transform] = (),
    ranks: Ranks = ALONE,
) -> AcousticModel:
    """Train a network and save it in ``directory``; carries on from a checkpoint, or a whole model, found there.

    Args:
        make_objective: builds the criterion for the frames trained on.
        use_unlabelled: whether frames without a label are trained on.
        select: which frames are trained on; None for all.
        watch: what to report on beside the dev set.
        start: a model of the same shape to start from, instead of random weights.
        title: stands before the epoch in the progress bar.
        transforms: done to each step's inputs before network and criterion see them.
        ranks: the processes that train it together; all call this.

    Raises:
        DataError: no frame is selected that is trained on.
        MismatchError: a store without labels, where frames without a label are not trained on.
    """
    device = prepare(ranks.own_device(options.device))
    whole, under_way = directory / MODEL_FILE, directory / CHECKPOINT_FILE
    ranks.check_same(f"{directory}: what is there", (whole.exists(), under_way.exists()))
    if ranks.first:
        discard_group(directory, "this one is trained alone now")
    if whole.exists() and not under_way.exists():
        return AcousticModel.load(directory).to(device)
    if not use_unlabelled:
        data.check_labelled()
    selected = data.select(select or SelectOptions(), use_unlabelled=use_unlabelled)
    shuffle = ranks.told_by_first(
        lambda: decided_shuffle(options.shuffle, data.stores, directory, device=device, begun=under_way.exists())
    )
    frames = data.frame_set(selected, use_unlabelled=use_unlabelled, device=device, shuffle_frames=shuffle)
    card = data.card(net_options)
    net = card.new_net(seed=options.seed).to(device)
    if start is not None:
        net.load_state_dict(start.net.state_dict())
    log.info("%d parameters, %d frames an epoch, %s", num_parameters(net), len(frames), ranks.where(device))
    watched = watched_sets(
        watch or WatchOptions(),
        data.stores,
        data.labels,
        selected,
        states_fingerprint=card.states_fingerprint,
        device=device,
        dtype=options.device.dtype,
    )
    Trainer(
        net,
        frames if ranks.size == 1 else PartOfFrames(frames, ranks, options.batch_size),
        make_objective(frames, device),
        DevSet(data.dev_store, data.dev_labels.pdfs, device=device, dtype=options.device.dtype),
        options,
        directory,
        title=title,
        image=card.image,
        watched=watched,
        transforms=transforms,
        ranks=ranks,
    ).run()
    given_P = data.log_prior(selected)
    prior_P = learnt_log_prior(net, frames, dtype=options.device.dtype) if given_P is None else given_P
    model = AcousticModel(card, net.eval(), prior_P.to(device))
    if ranks.first:
        model.save(directory)
        under_way.unlink()
    return model
