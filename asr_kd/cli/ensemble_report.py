"""What an ensemble gains, from how many members, and what is left to distil.

One pass over labelled frames. OUT gets results.json, RESULTS.md and gain.png.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, check_labelled, match_labels
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.score.ledger import Ledger, Subset, frame_ledger, member_subsets, sum_by_utterance
from asr_kd.score.ledger_page import render_ledger
from asr_kd.score.ledger_plot import plot_gain
from asr_kd.score.ledger_results import build_ledger
from asr_kd.score.origin import Origin
from asr_kd.stage import Stage, digest, fingerprint, write_json, write_text
from asr_kd.threads import threaded_map

log = logging.getLogger(__name__)

LARGEST_CHUNK = 4096  # frames
CHUNK_LOGITS = 1 << 24  # of all models together, 64 MiB


@dataclass(frozen=True, kw_only=True)
class Options:
    members: tuple[Path, ...] = option("models of the ensemble", positional=True)
    out: Path = option("directory of the report to make", positional=True)
    frames: Path = option("frame store, of the test set", affects_result=False)
    labels: Path = option("its labels", affects_result=False)
    student: tuple[Path, ...] = option("students of the ensemble", default=(), affects_result=False)
    origin: Origin = group(Origin)
    bootstrap_samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap, and of the draw of subsets where there are many", default=1)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads", default=1, affects_result=False)

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise UsageError("asr-kd ensemble-report: name at least two members before the output directory")
        named = [*self.members, *self.student]
        if len(set(named)) < len(named):
            raise UsageError("asr-kd ensemble-report: a model is named twice")
        if self.bootstrap_samples < 100:
            raise UsageError("--bootstrap-samples must be at least 100")


def run(options: Options) -> None:
    inputs = {
        "frames": fingerprint(options.frames),
        "labels": fingerprint(options.labels),
        "members": digest([fingerprint(path) for path in options.members]),
        "students": digest([fingerprint(path) for path in options.student]),
    }
    stage = Stage(options.out, command="ensemble-report", options=options, inputs=inputs, replace=True)
    if stage.finished():
        return
    device = prepare(options.device)
    store = FrameStore(options.frames)
    (labels,) = match_labels([store], [Labels.load(options.labels)])
    assert labels is not None
    models = load_models([*options.members, *options.student], store, device, options.device.dtype)
    check_labelled(labels, options.members[0], models[options.members[0]].card.states_fingerprint)
    with stage.writing() as partial:
        _report(partial, options, store, labels, models, device)


def _report(
    out: Path,
    options: Options,
    store: FrameStore,
    labels: Labels,
    models: dict[Path, AcousticModel],
    device: torch.device,
) -> None:
    subsets = member_subsets(len(options.members), seed=options.seed)
    batches = _scored(store, labels.pdfs, list(models.values()), len(options.members), subsets, device, options.nj)
    sums = sum_by_utterance(batches, len(store.index.utterances))
    results = {
        **options.origin.facts(),
        "frames": _name(options.frames),
        "num_pdfs": labels.num_pdfs,
        **build_ledger(
            sums,
            subsets,
            members=[_name(path) for path in options.members],
            students=[path.name for path in options.student],
            speakers=store.index.speakers,
            num_samples=options.bootstrap_samples,
            seed=options.seed,
        ),
    }
    write_json(out / "results.json", results)
    write_text(out / "RESULTS.md", render_ledger(results))
    plot_gain(results, out / "gain.png")
    log.info(
        "%s: mean member %.2f %%, ensemble of %d %.2f %%, any member right %.2f %%",
        options.out,
        100 * results["mean_member"]["frame_accuracy"],
        len(options.members),
        100 * results["means"]["arithmetic"]["frame_accuracy"],
        100 * results["right"]["oracle"]["value"],
    )


def _scored(
    store: FrameStore,
    pdfs: np.ndarray,
    models: Sequence[AcousticModel],
    num_members: int,
    subsets: Sequence[Subset],
    device: torch.device,
    nj: int,
) -> Iterator[tuple[np.ndarray, Ledger]]:
    """The ledger of every chunk of frames, and which utterance each of its labelled frames is of."""
    utterance_N = np.repeat(np.arange(len(store.index.counts)), store.index.counts)
    size = max(1, min(LARGEST_CHUNK, CHUNK_LOGITS // (len(models) * models[0].card.num_pdfs)))
    chunks = (frames for frames in store.chunks(size) if (pdfs[frames] >= 0).any())

    def score(frames: slice) -> Ledger:
        x_BW = store.windows(frames, device)[torch.from_numpy(np.flatnonzero(pdfs[frames] >= 0)).to(device)]
        logits_MBP = torch.stack([model.logits(x_BW) for model in models]).cpu().numpy()
        labels_B = pdfs[frames][pdfs[frames] >= 0]
        members_MBP, students_SBP = logits_MBP[:num_members], logits_MBP[num_members:]
        return frame_ledger(members_MBP, labels_B, subsets, student_logits_SBP=students_SBP)

    with tqdm(total=store.num_frames, unit="frame", unit_scale=True, disable=None, leave=False) as progress:
        for frames, ledger in threaded_map(score, chunks, nj=nj):
            yield utterance_N[frames][pdfs[frames] >= 0], ledger
            progress.update(frames.stop - frames.start)


def _name(path: Path) -> str:
    """A model or set as an experiment calls it: ``members/1``."""
    return f"{path.resolve().parent.name}/{path.name}"
