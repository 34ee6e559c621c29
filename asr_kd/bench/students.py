"""What the sparse store costs a student: its divergence from the ensemble, trained from the sparse and the dense store.

The task is made up: states are points in clusters, frames are noisy views of them. The noise is such that posteriors
spread over neighbouring states as those of speech do: ten classes hold 99 % of a frame's mass on average.

Legend: N frames, B frames of a batch, P pdfs, D features.
"""

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr_kd.bench.figure import Figure, Goal
from asr_kd.bench.synthetic import make_model, write_store
from asr_kd.distill.hinton import DistillObjective, DistillWeights, StoredTeacher
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.nets.device import DeviceOptions
from asr_kd.nets.dnn import NetOptions
from asr_kd.targets.ensemble import ensemble_targets
from asr_kd.targets.store import SoftTargetOptions, SoftTargets, TargetReader, write_soft_targets
from asr_kd.train.dev_set import DevSet
from asr_kd.train.frame_set import FrameSet
from asr_kd.train.loop import Trainer, TrainOptions
from asr_kd.train.objective import HardTargets, Objective
from asr_kd.train.schedule import OptimizerOptions

DIM, LEFT, RIGHT, UTTERANCE_FRAMES = 40, 2, 1, 512
CLUSTERS, SPREAD, NOISE = 40, 0.5, 0.9
MASS, BLOCK_FRAMES = 0.99, 4096
TEMPERATURE = 2.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """How much of everything; the default takes about a minute of one core."""

    num_pdfs: int = 2000
    num_frames: int = 24_576
    hidden_dim: int = 256
    members: int = 3
    member_epochs: int = 4
    student_seeds: tuple[int, ...] = (11, 12, 13)
    student_epochs: int = 6


def measure(*, device: str = "cpu", task: Task | None = None) -> list[Figure]:
    """Divergence of students on frames that neither they nor the ensemble were trained on, sparse over dense."""
    task, place = task or Task(), torch.device(device)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store, labels_N = make_speech(root / "train", task, seed=1)
        test, _ = make_speech(root / "test", task, seed=2)
        hard = FrameSet([store], [labels_N], use_unlabelled=False, device=place)
        members = {}
        for seed in range(1, task.members + 1):
            objective = HardTargets(hard.labels_N)
            model = _trained(root / f"member-{seed}", store, hard, objective, task, task.member_epochs, seed, place)
            members[root / f"member-{seed}"] = model
        teachers = list(members.values())
        found = {
            dense: [
                _divergence(student, teachers, test, place)
                for student in _students(root, store, hard, members, task, place, dense=dense)
            ]
            for dense in (True, False)
        }
        spread = _classes_holding(teachers, store, place)
    dense, sparse = (statistics.mean(found[dense]) for dense in (True, False))
    text = f"student at T = {TEMPERATURE:g}, {task.num_pdfs:,} states, mean of {len(task.student_seeds)} seeds"
    return [
        Figure(key="kl_dense", text=f"{text}: divergence, dense store", value=dense, unit="nats"),
        Figure(key="kl_sparse", text=f"{text}: divergence, sparse store", value=sparse, unit="nats"),
        Figure(
            key="sparse_vs_dense",
            text=f"{text}: sparse over dense",
            value=sparse / dense,
            goal=Goal(1.15, at_most=True),
        ),
        Figure(
            key="classes_99",
            text=f"the task: classes that hold {100 * MASS:g} % of the ensemble's mass at T = 1, mean",
            value=spread,
            unit="classes",
        ),
    ]


def make_speech(directory: Path, task: Task, *, seed: int) -> tuple[FrameStore, np.ndarray]:
    """A frame store and its labels ``[N]``: states of 3 to 8 frames, each frame its state's point and noise."""
    shape = np.random.default_rng(0)
    centres = shape.standard_normal((CLUSTERS, DIM))
    points = centres[np.arange(task.num_pdfs) % CLUSTERS] + SPREAD * shape.standard_normal((task.num_pdfs, DIM))
    rng = np.random.default_rng(seed)
    counts = np.full(task.num_frames // UTTERANCE_FRAMES, UTTERANCE_FRAMES, np.int64)
    num_frames = int(counts.sum())
    states = rng.integers(task.num_pdfs, size=num_frames)
    labels_N = np.repeat(states, rng.integers(3, 9, size=num_frames))[:num_frames].astype(np.int32)
    feats = (points[labels_N] + NOISE * rng.standard_normal((num_frames, DIM))).astype(np.float32)
    padded = (np.pad(own, ((LEFT, RIGHT), (0, 0)), mode="edge") for own in np.split(feats, len(counts)))
    return write_store(directory, padded, counts, dim=DIM, left=LEFT, right=RIGHT), labels_N


def _students(
    root: Path,
    store: FrameStore,
    frames: FrameSet,
    members: dict[Path, AcousticModel],
    task: Task,
    device: torch.device,
    *,
    dense: bool,
) -> Iterator[AcousticModel]:
    """A student of each seed, trained from one store."""
    directory = root / f"soft-{dense}"
    directory.mkdir()
    options = SoftTargetOptions(temperature=TEMPERATURE, dense=dense)
    write_soft_targets(directory, store, members, options, device=device)
    reader = TargetReader([SoftTargets(directory)], device)
    weights = DistillWeights(soft_weight=1.0, hard_weight=0.0)
    for seed in task.student_seeds:
        objective = DistillObjective(StoredTeacher(reader), frames.labels_N, weights)
        here = root / f"student-{dense}-{seed}"
        yield _trained(here, store, frames, objective, task, task.student_epochs, seed, device)


def _trained(
    directory: Path,
    store: FrameStore,
    frames: FrameSet,
    objective: Objective,
    task: Task,
    num_epochs: int,
    seed: int,
    device: torch.device,
) -> AcousticModel:
    directory.mkdir()
    options = TrainOptions(
        num_epochs=num_epochs,
        batch_size=256,
        optimizer=OptimizerOptions(learning_rate=2e-3),
        device=DeviceOptions(device=str(device)),
        seed=seed,
    )
    net = NetOptions(num_layers=2, hidden_dim=task.hidden_dim)
    model = make_model(store, net, task.num_pdfs, seed).to(device)
    dev = DevSet(store, frames.labels_N[: store.num_frames].cpu().numpy(), device=device)
    Trainer(model.net.train(), frames, objective, dev, options, directory).run()
    model.net.eval()
    return model


@torch.inference_mode()
def _divergence(student: AcousticModel, teachers: list[AcousticModel], test: FrameStore, device: torch.device) -> float:
    """``KL(p_T || q_T)`` in nats, the mean over all frames of a store."""
    total = 0.0
    for x_BW in _windows(test, device):
        p_BP = ensemble_targets(teachers, x_BW, temperature=TEMPERATURE, mean="arithmetic")
        logq_BP = torch.log_softmax(student.logits(x_BW) / TEMPERATURE, dim=1)
        total += float((torch.special.xlogy(p_BP, p_BP) - p_BP * logq_BP).sum())
    return total / test.num_frames


@torch.inference_mode()
def _classes_holding(teachers: list[AcousticModel], test: FrameStore, device: torch.device) -> float:
    """How many classes hold nearly all of the mass at T = 1, the mean over frames."""
    x_BW = next(_windows(test, device))
    sorted_BP = ensemble_targets(teachers, x_BW, temperature=1.0, mean="arithmetic").sort(dim=1, descending=True)[0]
    return float((sorted_BP.cumsum(dim=1) < MASS).sum(dim=1).float().add(1).mean())


def _windows(store: FrameStore, device: torch.device) -> Iterator[Tensor]:
    for begin in range(0, store.num_frames, BLOCK_FRAMES):
        yield store.windows(slice(begin, min(begin + BLOCK_FRAMES, store.num_frames)), device)
