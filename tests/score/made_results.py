"""Made-up results of every experiment that the paper's page has a place for, from the programs' own writers."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from asr_kd.frames.store import FrameStore
from asr_kd.score.evaluated import write_evaluated
from asr_kd.score.frame_accuracy import FrameCounts
from asr_kd.score.frame_results import frame_results, load_evaluated
from asr_kd.score.paper.figures import Statement
from asr_kd.score.paper.table import Part
from asr_kd.score.regularizer import load_partial_runs, regularizer_results
from asr_kd.specialists.results import Scored, build_results
from asr_kd.specialists.scoring import Scores, System, TeamScores
from asr_kd.specialists.subset import Subset
from asr_kd.sweep.figures import Evaluated, sweep_results
from asr_kd.sweep.grid import Cell

from .test_regularizer import Experiment

IMAGES = 4000
# Wrong images, of each 10,000, as in the paper.
ERRORS = {"big": 67, "small": 146, "distilled": 74, "no_3s": 206, "no_3s_corrected": 109, "only_7s_8s": 4730}
ERRORS |= {"only_7s_8s_corrected": 1320, "T1": 120, "T20": 76, "T1000": 78, "matched_logits": 78}


def plain(results: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from its file."""
    return json.loads(json.dumps(results))  # type: ignore[no-any-return]


def images(folder: Path, errors: Mapping[str, float], *, seeds: int = 2, teacher: str = "big") -> dict[str, Any]:
    """Systems with so many of 10,000 images wrong; a third of those of ``no_3s`` are 3s."""
    runs = [
        _images_run(folder, name, seed, wrong / 10_000)
        for name, wrong in errors.items()
        for seed in range(1, seeds + 1)
    ]
    baseline = "small" if teacher == "big" else "baseline"
    found = frame_results(load_evaluated(runs), baseline=baseline, teacher=teacher, num_samples=100, seed=1)
    return plain({"recipe": "mnist", "title": "made up"} | found)


def _images_run(folder: Path, name: str, seed: int, share: float) -> Path:
    rng = np.random.default_rng(seed)
    labels = np.arange(IMAGES, dtype=np.int32) % 10
    wrong = rng.permutation(IMAGES)[: round(IMAGES * share)]
    decisions = labels.copy()
    decisions[wrong] = (labels[wrong] + 1) % 10
    out = folder / f"{name}-{share:g}-{seed}"
    if out.exists():
        return out
    out.mkdir(parents=True)
    ids = [f"image-{number:05d}" for number in range(IMAGES)]
    write_evaluated(
        out,
        utterances=ids,
        speakers=ids,
        counts_U=np.ones(IMAGES, dtype=np.int64),
        labels_N=labels,
        decisions_N=decisions,
        label_logp_N=np.where(decisions == labels, -0.01, -5.0).astype(np.float32),
        system={"name": name, "seed": seed, "members": 1, "params": 10, "num_pdfs": 10, "conf": ""},
    )
    return out


def sweep(
    wrong: Mapping[tuple[int, float], float], *, seeds: int = 3, frames: int = 1, spread: float = 0.002
) -> dict[str, Any]:
    """Cells by width and temperature with a share of wrong frames; seeds differ by about ``spread`` of all frames."""
    utterances = IMAGES // frames
    rng = np.random.default_rng(5)
    hardness = rng.random(utterances)  # one draw: cells agree on the easy images

    def counts(share: float, seed: int) -> FrameCounts:
        right = (hardness >= share + spread * (seed - (seeds - 1) / 2)).astype(np.int64) * frames
        full = np.full(utterances, frames, dtype=np.int64)
        return FrameCounts(num_frames=full, num_correct=right, cross_entropy=0.1 * (full - right))

    evaluated = []
    for (width, temperature), share in wrong.items():
        both = [counts(share, seed) for seed in range(seeds)]
        cell = Cell(temperature=temperature, soft_weight=1.0, hard_weight=0.0, hidden_dim=width)
        evaluated.append(Evaluated(cell=cell, seeds=tuple(range(seeds)), counts={"dev": both, "test": both}))
    about = {"recipe": "mnist" if frames == 1 else "tones", "protocol": "", "metric": "errors"}
    return plain(about | sweep_results(evaluated, num_samples=300, seed=1))


def specialists(
    make_store: Callable[..., FrameStore],
    *,
    gain: float = 0.1,
    trained_on: float = 0.51,
    students: Sequence[float] = (0.52, 0.58),
    lengths: Sequence[int] = (20,) * 50,
) -> dict[str, Any]:
    """A generalist right in half of the frames; the fusion in ``gain`` more of those that one specialist covers.

    The fusion with n = 2 is the worse one, and the one that was distilled.
    """
    store = make_store(lengths)
    number = store.num_frames
    labels = np.tile(np.arange(10), number // 10)
    order = np.random.default_rng(7).permutation(number) / number

    def scores(share: float, inside: float) -> Scores:
        covered = (labels < 4) | (labels == 5)
        right = order < np.where(covered, share + inside, share)
        return Scores(right, np.where(right, 0.1, 2.0).astype(np.float32))

    systems = {
        System("generalist"): scores(0.5, 0),
        System("dustbin", 1): scores(0.5, gain),
        System("dustbin", 2): scores(0.5, gain - 0.02),
        System("trained on"): scores(trained_on, 0),
        System("student of generalist"): scores(students[0], 0),
        System("student of generalist + specialists"): scores(students[1], 0),
    }
    alone = {("dustbin", place): scores(0.8, 0) for place in (0, 1)}
    scored = Scored("frames/test", store, labels, TeamScores(systems, alone, alone))
    team: Any = [
        SimpleNamespace(path=Path(f"dustbin/{place}"), subset=Subset(pdfs, 10), meta={"oversampling": 2.0})
        for place, pdfs in enumerate([(0, 1, 2, 3), (3, 5)])
    ]
    models = {system.name: 1 for system in systems}
    found = build_results(
        scored,
        scored,
        None,
        {"dustbin": team},
        num_models=models,
        distilled=System("dustbin", 2),
        clusters={"matrix": "correlation", "temperature": 4.0},
        num_samples=300,
        seed=1,
    )
    return plain({"recipe": "tones", "protocol": ""} | found)


def regularizer(folder: Path, *, soft: float = 0.57, dev: Sequence[float] = (0.3, 0.5, 0.56)) -> dict[str, Any]:
    """The paper's accuracies, but for soft targets on 3 %."""
    made = Experiment(folder)
    for seed in (1, 2):
        made.add("hard", 1.0, seed, 0.59, dev=[0.5, 0.6])
        made.add("hard", 0.03, seed, 0.40, dev=[0.3, 0.45, 0.4])
        made.add("hard, early stopping", 0.03, seed, 0.45, early=2, dev=[0.3, 0.45, 0.4])
        made.add("soft, ensemble", 0.03, seed, soft, dev=list(dev))
    runs = load_partial_runs(made.models, made.evaluated, [])
    found = regularizer_results(runs, full="hard", hard="hard, early stopping", num_samples=300, seed=1)
    return plain({"recipe": "tones", "protocol": "noisy"} | found)


def verdict(part: Part, statement: Statement) -> str:
    """Of the claim that a part makes of a statement."""
    (claim,) = (claim for claim in part.claims if claim.statement == statement)
    return claim.verdict


def here(part: Part, statement: Statement) -> str:
    """What that claim says of own figures."""
    (claim,) = (claim for claim in part.claims if claim.statement == statement)
    return f"{claim.here}; {claim.detail}"
