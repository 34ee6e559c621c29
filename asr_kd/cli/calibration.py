"""How far posteriors can be believed: expected calibration error and reliability diagram.

MODELS are the members of an ensemble; they are measured one by one and averaged. OUT gets results.json, RESULTS.md,
reliability.png and, for each run and temperature, its bins.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, check_labelled, match_labels
from asr_kd.hmm.posteriors import CHUNK_FRAMES, load_models
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.score.calibration import NUM_BINS, Key, Reliability, calibration_results
from asr_kd.score.calibration_page import plot_reliability, render_calibration
from asr_kd.score.origin import Origin
from asr_kd.stage import Stage, digest, fingerprint, write_json, write_text
from asr_kd.threads import threaded_map

log = logging.getLogger(__name__)

MEMBER, ENSEMBLE = "baseline", "ensemble"


@dataclass(frozen=True, kw_only=True)
class Options:
    models: tuple[Path, ...] = option("one model, or the members of an ensemble", positional=True)
    out: Path = option("directory of results to make", positional=True)
    frames: Path = option("frame store, of the test set", affects_result=False)
    labels: Path = option("its labels", affects_result=False)
    student: tuple[Path, ...] = option("students of the ensemble", default=(), affects_result=False)
    temperatures: tuple[float, ...] = option("temperatures of the softmax", default=(1.0, 2.0))
    bins: int = option("bins of equal width for the confidence", default=NUM_BINS)
    origin: Origin = group(Origin)
    bootstrap_samples: int = option("resampled test sets", default=2000)
    seed: int = option("seed of the bootstrap", default=1)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads", default=1, affects_result=False)

    def __post_init__(self) -> None:
        named = [*self.models, *self.student]
        if len(set(named)) < len(named):
            raise UsageError("asr-kd calibration: a model is named twice")
        first: dict[str, Path] = {}
        for path in self.student:
            if (kind := _kind(path)) in (MEMBER, ENSEMBLE):
                raise UsageError(f"--student {path}: '{kind}' is what the page calls the models; rename this directory")
            if first.setdefault(path.name, path) is not path:
                raise UsageError(f"--student {first[path.name]} and {path} are both called {path.name}; rename one")
        if self.bins < 2 or self.bootstrap_samples < 100:
            raise ValueError("--bins must be at least 2, --bootstrap-samples at least 100")
        if not self.temperatures or min(self.temperatures) <= 0 or len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError("--temperatures must be different numbers above 0")


def run(options: Options) -> None:
    inputs = {
        "models": digest([fingerprint(path) for path in options.models]),
        "students": digest([fingerprint(path) for path in options.student]),
        "frames": fingerprint(options.frames),
        "labels": fingerprint(options.labels),
    }
    stage = Stage(options.out, command="calibration", options=options, inputs=inputs, replace=True)
    if stage.finished():
        return
    device = prepare(options.device)
    store = FrameStore(options.frames)
    models = load_models([*options.models, *options.student], store, device, options.device.dtype)
    (labels,) = match_labels([store], [Labels.load(options.labels)])
    assert labels is not None
    check_labelled(labels, options.models[0], models[options.models[0]].card.states_fingerprint)
    measured = _measure(list(models.values()), store, labels.pdfs, device, options)
    with stage.writing() as partial:
        named = zip(store.index.speakers, store.index.slices(), strict=True)
        speakers = [speaker for speaker, (_, frames) in named if (labels.pdfs[frames] >= 0).any()]
        _report(partial, _systems(measured, options), speakers, options)


def _measure(
    models: Sequence[AcousticModel], store: FrameStore, pdfs: np.ndarray, device: torch.device, options: Options
) -> dict[float, list[Reliability]]:
    """By temperature: the reliability of every model, then of the mean of the ensemble's members."""
    num_members = len(options.models)
    measured = {t: [Reliability(options.bins) for _ in range(len(models) + 1)] for t in options.temperatures}
    labelled = [(name, frames) for name, frames in store.index.slices() if (pdfs[frames] >= 0).any()]

    def score(utterance: tuple[str, slice]) -> dict[float, torch.Tensor]:
        logits_MTP = _logits(models, store, utterance[1], device)
        found = {}
        for temperature in options.temperatures:
            logp_MTP = (logits_MTP / temperature).log_softmax(dim=-1)
            mean_TP = logp_MTP[:num_members].logsumexp(dim=0) - float(np.log(num_members))
            found[temperature] = torch.cat([logp_MTP, mean_TP[None]]).cpu()
        return found

    progress = tqdm(total=len(labelled), unit="utt", disable=None, leave=False)
    for (_, frames), scores in threaded_map(score, labelled, nj=options.nj):
        for temperature, logp in scores.items():
            for reliability, logp_TP in zip(measured[temperature], logp.numpy(), strict=True):
                reliability.add(logp_TP, pdfs[frames])
        progress.update()
    progress.close()
    return measured


@torch.inference_mode()
def _logits(models: Sequence[AcousticModel], store: FrameStore, frames: slice, device: torch.device) -> torch.Tensor:
    """All models' logits of one utterance, [M, T, P]."""
    parts = []
    for begin in range(frames.start, frames.stop, CHUNK_FRAMES):
        x_BW = store.windows(slice(begin, min(begin + CHUNK_FRAMES, frames.stop)), device)
        parts.append(torch.stack([model.logits(x_BW) for model in models]))
    return torch.cat(parts, dim=1)


def _kind(student: Path) -> str:
    return re.sub(r"-\d+$", "", student.name)


def _systems(measured: dict[float, list[Reliability]], options: Options) -> dict[Key, list[tuple[str, Reliability]]]:
    """The runs of every system at every temperature: single members, their mean, and each kind of student."""
    num_members = len(options.models)
    systems: dict[Key, list[tuple[str, Reliability]]] = {}
    for temperature, (*runs, mean) in measured.items():
        named = list(zip((*options.models, *options.student), runs, strict=True))
        systems[MEMBER, temperature] = [(f"{MEMBER}-{path.name}", run) for path, run in named[:num_members]]
        if num_members > 1:
            systems[ENSEMBLE, temperature] = [(ENSEMBLE, mean)]
        for path, run in named[num_members:]:
            systems.setdefault((_kind(path), temperature), []).append((path.name, run))
    return systems


def _report(
    out: Path, systems: dict[Key, list[tuple[str, Reliability]]], speakers: Sequence[str], options: Options
) -> None:
    for (_, temperature), runs in systems.items():
        for name, run in runs:
            run.write(out / f"{name}-T{temperature:g}.tsv")
    about: dict[str, Any] = dict(options.origin.facts())
    results = about | calibration_results(
        {key: [run for _, run in runs] for key, runs in systems.items()},
        speakers=speakers,
        num_samples=options.bootstrap_samples,
        seed=options.seed,
    )
    write_json(out / "results.json", results)
    write_text(out / "RESULTS.md", render_calibration(results))
    plot_reliability(results, out / "reliability.png")
    for row in results["systems"]:
        log.info("%s at T = %g: ECE %.2f %%", row["name"], row["temperature"], 100 * row["ece"])
