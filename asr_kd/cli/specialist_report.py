"""What specialists add to a generalist, and what is left of it when all are distilled into one model.

Kind of specialist and n are chosen on dev. OUT gets results.json, RESULTS.md and gain.png.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr_kd.errors import MismatchError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, check_labelled, match_labels
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.score.origin import Origin
from asr_kd.specialists.clusters import Clusters
from asr_kd.specialists.ensemble import SpecialistEnsemble, warn_of_others
from asr_kd.specialists.page import render_specialists
from asr_kd.specialists.plot import plot_specialists
from asr_kd.specialists.results import Scored, build_results
from asr_kd.specialists.scoring import ENSEMBLE, GENERALIST, System, Team, score_team
from asr_kd.specialists.specialist import DUSTBIN, REGULARIZED, load_specialists
from asr_kd.stage import Stage, digest, fingerprint, read_run, write_json, write_text
from asr_kd.targets.store import SoftTargets
from asr_kd.train.frame_set import check_same_features

log = logging.getLogger(__name__)

TRAIN_FRAMES = 65536
STRETCH_FRAMES = 1024


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: Path = option("frame store, of the test set", positional=True)
    out: Path = option("directory of the report to make", positional=True)
    labels: Path = option("its labels", affects_result=False)
    dev_frames: Path = option("frame store that kind and n are chosen on", affects_result=False)
    dev_labels: Path = option("its labels", affects_result=False)
    train_frames: Path | None = option(
        "frame store of the training set, to show over-fitting on a part of it", default=None, affects_result=False
    )
    train_labels: Path | None = option("its labels", default=None, affects_result=False)
    generalist: tuple[Path, ...] = option(
        "the generalist: a model, or several of which the mean counts", affects_result=False
    )
    specialists: tuple[Path, ...] = option("specialists with a dustbin", default=(), affects_result=False)
    regularized: tuple[Path, ...] = option("specialists trained with --regularize", default=(), affects_result=False)
    others: tuple[str, ...] = option(
        "further models to compare with, NAME=DIR each; models of one name are runs of one system", default=()
    )
    ensemble: tuple[Path, ...] = option("plain ensemble to compare with", default=(), affects_result=False)
    num_best: tuple[int, ...] = option("values of n to try", default=(1, 2, 3))
    distilled: Path | None = option(
        "soft targets of asr-kd fuse-specialists that students among --others learnt from, to say which fusion it was",
        default=None,
        affects_result=False,
    )
    clusters: Path | None = option(
        "clusters that the specialists are for, to say what was clustered", default=None, affects_result=False
    )
    origin: Origin = group(Origin)
    bootstrap_samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap", default=1)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads", default=1, affects_result=False)

    def __post_init__(self) -> None:
        if not self.specialists and not self.regularized:
            raise UsageError("asr-kd specialist-report: name some --specialists or --regularized")
        if (self.train_frames is None) != (self.train_labels is None):
            raise UsageError("asr-kd specialist-report: give --train-frames and --train-labels together, or neither")
        if self.bootstrap_samples < 100:
            raise UsageError("--bootstrap-samples must be at least 100")
        if not self.num_best or min(self.num_best) < 1:
            raise UsageError("--num-best must be at least 1")

    @property
    def named_others(self) -> dict[str, list[Path]]:
        """The further models by name."""
        found: dict[str, list[Path]] = {}
        for word in self.others:
            name, separator, path = word.partition("=")
            if not (name and separator and path) or name in (GENERALIST, ENSEMBLE, DUSTBIN, REGULARIZED):
                raise UsageError(f"--others: expected NAME=DIR with a name of its own, found '{word}'")
            found.setdefault(name, []).append(Path(path))
        return found


def run(options: Options) -> None:
    sets = {"test": (options.frames, options.labels), "dev": (options.dev_frames, options.dev_labels)}
    if options.train_frames is not None and options.train_labels is not None:
        sets["train"] = (options.train_frames, options.train_labels)
    models = {
        "generalist": options.generalist,
        "specialists": options.specialists,
        "regularized": options.regularized,
        "others": [path for paths in options.named_others.values() for path in paths],
        "ensemble": options.ensemble,
        "distilled": [options.distilled] if options.distilled else [],
        "clusters": [options.clusters] if options.clusters else [],
    }
    inputs = {f"{name} frames and labels": digest(list(map(fingerprint, paths))) for name, paths in sets.items()}
    inputs |= {name: digest([fingerprint(path) for path in paths]) for name, paths in models.items()}
    stage = Stage(options.out, command="specialist-report", options=options, inputs=inputs, replace=True)
    if stage.finished():
        return
    device = prepare(options.device)
    stores = {name: FrameStore(frames) for name, (frames, _) in sets.items()}
    check_same_features(list(stores.values()))
    team = _team(options, stores["test"], device)
    distilled = _distilled(options, team)
    with stage.writing() as partial:
        scored = {
            name: _score(team, stores[name], labels, options, device, whole=name != "train")
            for name, (_, labels) in sets.items()
        }
        num_specialists = {kind: len(team.generalist) + len(found) for kind, found in team.specialists.items()}
        num_models = {GENERALIST: len(team.generalist), ENSEMBLE: len(team.ensemble), **num_specialists}
        results = {"experiment": "specialists"} | options.origin.facts()
        results |= build_results(
            scored["test"],
            scored["dev"],
            scored.get("train"),
            team.specialists,
            num_models=num_models | dict.fromkeys(team.others, 1),
            distilled=distilled,
            clusters=_clusters(options.clusters),
            num_samples=options.bootstrap_samples,
            seed=options.seed,
        )
        write_json(partial / "results.json", results)
        write_text(partial / "RESULTS.md", render_specialists(results))
        plot_specialists(results, partial / "gain.png")


def _team(options: Options, store: FrameStore, device: torch.device) -> Team:
    """All models, checked to predict the same states from the same features."""
    others = options.named_others
    plain = [*options.generalist, *(path for paths in others.values() for path in paths), *options.ensemble]
    # One model may be given in several roles, and written in several ways.
    places = {path: path.resolve() for path in plain}
    loaded = load_models(list(dict.fromkeys(places.values())), store, device, options.device.dtype)
    models = {path: loaded[place] for path, place in places.items()}
    states = models[options.generalist[0]].card.states_fingerprint
    specialists = {}
    for kind, paths in ((DUSTBIN, options.specialists), (REGULARIZED, options.regularized)):
        found = load_specialists(paths, store, states_fingerprint=states, device=device, dtype=options.device.dtype)
        for specialist in found:
            if specialist.kind != kind:
                raise UsageError(f"{specialist.path}: a specialist of the kind {specialist.kind}, given as {kind}")
        warn_of_others(found, {path: models[path] for path in options.generalist})
        if found:
            specialists[kind] = found
    return Team(
        generalist=[models[path] for path in options.generalist],
        specialists=specialists,
        others={name: [models[path] for path in paths] for name, paths in others.items()},
        ensemble=[models[path] for path in options.ensemble],
        num_best=options.num_best,
    )


def _distilled(options: Options, team: Team) -> System | None:
    """Which of the fusions that are scored the soft targets are of.

    Raises:
        MismatchError: they are of other models.
        UsageError: they are of an n that is not scored.
    """
    if options.distilled is None:
        return None
    made_of = SoftTargets(options.distilled).meta["models_fingerprint"]
    generalist = dict(zip(options.generalist, team.generalist, strict=True))
    for kind, specialists in team.specialists.items():
        if SpecialistEnsemble(generalist, specialists).fingerprint == made_of:
            num_best = read_run(options.distilled)["identity"]["options"]["num_best"]
            if num_best not in options.num_best:
                raise UsageError(f"{options.distilled}: fused with n = {num_best}; name it with --num-best, too")
            return System(kind, num_best)
    raise MismatchError(
        f"{options.distilled}: soft targets of other models than the generalist with its --specialists, or with those "
        "that are --regularized"
    )


def _clusters(path: Path | None) -> dict[str, Any] | None:
    """What was clustered: ``matrix``, and ``temperature`` of the predictions."""
    if path is None:
        return None
    made_with = read_run(Clusters.load(path).path)["identity"]["options"]
    return {name: made_with[name] for name in ("matrix", "temperature")}


def _score(
    team: Team, store: FrameStore, labels_path: Path, options: Options, device: torch.device, *, whole: bool
) -> Scored:
    """Score a set, or evenly spread stretches of about `TRAIN_FRAMES` of its frames."""
    (labels,) = match_labels([store], [Labels.load(labels_path)])
    assert labels is not None
    states = team.generalist[0].card.states_fingerprint
    check_labelled(labels, options.generalist[0], states)
    every = 1 if whole else max(1, round(store.num_frames / TRAIN_FRAMES))
    begins = range(0, store.num_frames, every * STRETCH_FRAMES)
    stretches = [slice(begin, min(begin + STRETCH_FRAMES, store.num_frames)) for begin in begins]
    if whole:
        stretches = [slice(0, store.num_frames)]
    labels_N = np.full_like(labels.pdfs, -1)
    for stretch in stretches:
        labels_N[stretch] = labels.pdfs[stretch]
    scores = score_team(team, store, labels_N, stretches, device=device, nj=options.nj)
    log.info("%s: scored", store.path)
    return Scored(str(store.path), store, labels_N, scores)
