"""An alignment model from nothing: uniform segmentation, then train and realign until the labels settle.

As in "GMM-free DNN training" (Senior et al. 2014): no Gaussian mixtures; the network aligns its own
training data. Each round trains the network of the round before on with the labels that it gave.

Legend: N frames.
"""

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.align_store import AlignOptions, Language, Transcripts, align_store, check_dropped, write_aligned
from asr_kd.hmm.labels import Labels
from asr_kd.hmm.uniform import uniform_segmentation
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel
from asr_kd.nets.device import prepare
from asr_kd.nets.dnn import NetOptions
from asr_kd.options import group, option
from asr_kd.stage import write_json
from asr_kd.train.loop import TrainOptions
from asr_kd.train.model_training import TrainingData, train_model
from asr_kd.train.objective import HardTargets

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FlatStartOptions:
    """How often to realign, and the network that does it."""

    num_rounds: int = option("most rounds of training and realignment", default=6)
    settled: float = option("rounds end when no more than this part of the labels changes", default=0.03)
    align: AlignOptions = group(AlignOptions)
    net: NetOptions = group(NetOptions)
    train: TrainOptions = group(TrainOptions)

    def __post_init__(self) -> None:
        if self.num_rounds < 1:
            raise UsageError("--num-rounds must be at least 1")


def flat_start(
    directory: Path,
    store: FrameStore,
    transcripts: Transcripts,
    language: Language,
    options: FlatStartOptions,
    *,
    nj: int = 1,
) -> None:
    """Write an alignment model and ``rounds.json`` into a directory.

    Rounds that are done, kept as ``round-<r>``, are not done again after an interruption.

    Raises:
        AlignmentError: most utterances cannot be aligned.
    """
    labels = _first_labels(directory / "round-0", store, transcripts, language)
    rounds: list[dict[str, float]] = []
    for number in range(1, options.num_rounds + 1):
        here = directory / f"round-{number}"
        if not _done(here):
            before = directory / f"round-{number - 1}"
            _round(here, before, store, transcripts, language, options, number=number, nj=nj)
        before_labels, labels = labels, Labels.load(here)
        changed = float(np.mean(before_labels.pdfs != labels.pdfs))
        rounds.append({"round": number, "changed": round(changed, 4), "dropped": labels.meta["num_dropped_utterances"]})
        log.info("round %d: %.1f %% of the labels changed", number, 100 * changed)
        if changed <= options.settled:
            break
    else:
        log.warning(
            "%.1f %% of the labels still changed in the last round (--settled %g): ask for more --num-rounds",
            100 * changed,
            options.settled,
        )
    shutil.copyfile(here / MODEL_FILE, directory / MODEL_FILE)
    write_json(directory / "rounds.json", rounds)


def _round(
    here: Path,
    before: Path,
    store: FrameStore,
    transcripts: Transcripts,
    language: Language,
    options: FlatStartOptions,
    *,
    number: int,
    nj: int,
) -> None:
    """Train the network on with the labels of the round before, and align with it."""
    here.mkdir(exist_ok=True)
    labels = Labels.load(before)
    data = TrainingData([store], [labels], store, labels)
    model = train_model(
        data,
        lambda frames, _: HardTargets(frames.labels_N),
        options.net,
        replace(options.train, seed=options.train.seed + number),
        here,
        start=AcousticModel.load(before) if number > 1 else None,
        title=f"round {number} ",
    )
    # What aligns takes a core each; the next round trains with as many threads as this one did.
    num_threads = torch.get_num_threads()
    device = prepare(replace(options.train.device, num_threads=1))
    model.to(device, options.train.device.dtype)
    pdfs, dropped = align_store(model, store, transcripts, language, options.align, device=device, nj=nj)
    torch.set_num_threads(num_threads)
    check_dropped(dropped, store)
    write_aligned(here, store, pdfs, dropped, language.states)


def _first_labels(directory: Path, store: FrameStore, transcripts: Transcripts, language: Language) -> Labels:
    """States spread evenly over each utterance, silence where its energy is low."""
    if _done(directory):
        return Labels.load(directory)
    directory.mkdir(exist_ok=True)
    pdfs = np.full(store.num_frames, -1, np.int32)
    dropped = []
    for utterance, frames in store.index.slices():
        words = transcripts.get(utterance)
        num_frames = frames.stop - frames.start
        found = None
        if words:
            # The mean of normalised log-mel features rises and falls with the frame's energy.
            energy = store.own_frames(frames).mean(dim=1).numpy()
            found = uniform_segmentation(words, language.lexicon, language.states, num_frames, energy)
        if found is None:
            dropped.append((utterance, f"too short: {num_frames} frames" if words else "no transcript"))
        else:
            pdfs[frames] = found
    check_dropped(dropped, store)
    write_aligned(directory, store, pdfs, dropped, language.states)
    return Labels.load(directory)


def _done(directory: Path) -> bool:
    """Labels are written with their ``meta.json`` last."""
    return (directory / "meta.json").exists()
