"""The objective of Hinton, Vinyals & Dean 2015: both terms, their weights, and either kind of teacher."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from asr_kd.distill.hinton import DistillObjective, DistillWeights, LiveTeacher, StoredLogits, StoredTeacher
from asr_kd.distill.soft_loss import dense_soft_loss, logit_loss
from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.targets.ensemble import ensemble_targets
from asr_kd.targets.store import SoftTargetOptions, SoftTargets, TargetReader, write_soft_targets
from asr_kd.train.frame_set import Batch
from asr_kd.train.objective import gradient_shares

CPU = torch.device("cpu")
PDFS = 11


class FixedTeacher:
    """A teacher with one distribution a frame."""

    temperature = 2.0

    def __init__(self, probs_NP: torch.Tensor) -> None:
        self.probs_NP = probs_NP

    def loss(self, logits_BP: torch.Tensor, batch: Batch, weight: float) -> torch.Tensor:
        return weight * dense_soft_loss(logits_BP, self.probs_NP[batch.frames_B], self.temperature)


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


TEACHER = FixedTeacher(torch.softmax(normal(20, PDFS, seed=1), dim=1))
BATCH = Batch(torch.tensor([3, 17, 5, 0, 9, 11]), torch.zeros(6, 1))
LABELS = torch.randint(0, PDFS, (20,), generator=torch.Generator().manual_seed(2))


def objective(labels: torch.Tensor, soft: float, hard: float) -> DistillObjective:
    return DistillObjective(TEACHER, labels, DistillWeights(soft_weight=soft, hard_weight=hard))  # type: ignore[arg-type]


def test_it_is_the_weighted_sum_of_soft_term_with_t_squared_and_hard_term() -> None:
    logits_BP = normal(6, PDFS, seed=3)
    losses = objective(LABELS, 0.75, 0.25).losses(logits_BP, BATCH)
    probs_BP, labels_B = TEACHER.probs_NP[BATCH.frames_B], LABELS[BATCH.frames_B]
    soft = -(probs_BP * torch.log_softmax(logits_BP / 2, dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(losses["soft"], 0.75 * 4 * soft)
    torch.testing.assert_close(losses["hard"], 0.25 * functional.cross_entropy(logits_BP, labels_B))


def test_the_hard_term_counts_labelled_frames_alone() -> None:
    logits_BP = normal(6, PDFS, seed=3).requires_grad_()
    some = LABELS.clone()
    some[[17, 0, 9]] = -1
    losses = objective(some, 0.5, 0.5).losses(logits_BP, BATCH)
    labelled = [0, 2, 5]
    expected = 0.5 * functional.cross_entropy(logits_BP[labelled], LABELS[BATCH.frames_B[labelled]])
    torch.testing.assert_close(losses["hard"], expected)
    (gradient,) = torch.autograd.grad(losses["hard"], logits_BP, retain_graph=True)
    assert (gradient[[1, 3, 4]] == 0).all()
    (gradient,) = torch.autograd.grad(losses["soft"], logits_BP)
    assert (gradient.norm(dim=1) > 0).all()


def test_a_batch_without_a_label_has_a_hard_term_of_zero() -> None:
    losses = objective(torch.full((20,), -1), 0.5, 0.5).losses(normal(6, PDFS, seed=3), BATCH)
    assert float(losses["hard"]) == 0


@pytest.mark.parametrize(
    ("soft", "hard", "terms"), [(1.0, 0.0, {"soft"}), (0.0, 1.0, {"hard"}), (0.5, 0.5, {"soft", "hard"})]
)
def test_a_term_of_weight_zero_is_left_out(soft: float, hard: float, terms: set[str]) -> None:
    assert objective(LABELS, soft, hard).losses(normal(6, PDFS, seed=3), BATCH).keys() == terms


@pytest.mark.parametrize(("soft", "hard"), [(-0.1, 1.0), (1.0, -0.1), (0.0, 0.0)])
def test_impossible_weights_are_wrong_usage(soft: float, hard: float) -> None:
    with pytest.raises(UsageError, match="--soft-weight and --hard-weight"):
        DistillWeights(soft_weight=soft, hard_weight=hard)


def test_gradient_shares_are_the_parts_of_the_terms_gradients() -> None:
    logits_BP = normal(6, PDFS, seed=3).requires_grad_()
    losses = objective(LABELS, 0.9, 0.1).losses(logits_BP, BATCH)
    norms = {
        name: float(torch.autograd.grad(loss, logits_BP, retain_graph=True)[0].norm()) for name, loss in losses.items()
    }
    shares = gradient_shares(losses, logits_BP)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["soft"] / shares["hard"] == pytest.approx(norms["soft"] / norms["hard"])


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_a_live_teacher_equals_its_stored_dense_targets(
    tmp_path: Path, make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel], mean: str
) -> None:
    store = make_store([40, 30])
    members = {Path(str(seed)): make_model(store, num_pdfs=PDFS, seed=seed) for seed in (1, 2, 3)}
    asked = SoftTargetOptions(dense=True, mean=mean, temperature=3.0)
    write_soft_targets(tmp_path, store, members, asked, device=CPU)
    stored = StoredTeacher(TargetReader([SoftTargets(tmp_path)], CPU))
    live = LiveTeacher(list(members.values()), temperature=3.0, mean=mean)
    frames_B = torch.randperm(70, generator=torch.Generator().manual_seed(1))
    batch = Batch(frames_B, store.windows(slice(0, 70))[frames_B])
    one, other = normal(70, PDFS, seed=5).requires_grad_(), normal(70, PDFS, seed=5).requires_grad_()
    stored_loss, live_loss = stored.loss(one, batch, 0.7), live.loss(other, batch, 0.7)
    assert stored.temperature == live.temperature == 3.0
    torch.testing.assert_close(stored_loss, live_loss, rtol=1e-3, atol=1e-3)
    stored_loss.backward()
    live_loss.backward()
    torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=3.0 * 2**-10 / 70)


def test_a_live_teacher_is_not_trained(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    store = make_store([20])
    member = make_model(store, num_pdfs=PDFS)
    batch = Batch(torch.arange(20), store.windows(slice(0, 20)))
    LiveTeacher([member], temperature=1.0, mean="arithmetic").loss(
        normal(20, PDFS, seed=1).requires_grad_(), batch, 1.0
    ).backward()
    assert all(parameter.grad is None for parameter in member.net.parameters())


def test_a_student_that_equals_its_teacher_has_no_gradient(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    store = make_store([20])
    member = make_model(store, num_pdfs=PDFS)
    x_BW = store.windows(slice(0, 20))
    with torch.no_grad():
        logits_BP = member.net(x_BW)
    leaf = logits_BP.clone().requires_grad_()
    LiveTeacher([member], temperature=2.0, mean="geometric").loss(leaf, Batch(torch.arange(20), x_BW), 1.0).backward()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, torch.zeros_like(leaf), rtol=0, atol=1e-6)
    probs = ensemble_targets([member], x_BW, temperature=2.0, mean="geometric")
    torch.testing.assert_close(probs, torch.softmax(logits_BP / 2, dim=1))


def stored(
    directory: Path, make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel], **kept: object
) -> SoftTargets:
    """Soft targets of 40 frames by one model."""
    store = make_store([40])
    directory.mkdir()
    options = SoftTargetOptions(temperature=3.0, mean="geometric", **kept)  # type: ignore[arg-type]
    write_soft_targets(directory, store, {Path("m"): make_model(store, num_pdfs=PDFS)}, options, device=CPU)
    return SoftTargets(directory)


def value_and_gradient(objective: DistillObjective, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the soft term."""
    logits_BP = normal(len(batch.frames_B), PDFS, seed=5).requires_grad_()
    loss = objective.losses(logits_BP, batch)["soft"]
    return loss.detach(), torch.autograd.grad(loss, logits_BP)[0]


@pytest.mark.parametrize("weights_B", [None, torch.tensor([1.0, 2.0, 0.0, 1.0, 5.0])])
def test_sparse_and_logit_stores_that_hold_everything_train_as_the_dense_store_does(
    tmp_path: Path,
    make_store: Callable[..., FrameStore],
    make_model: Callable[..., AcousticModel],
    weights_B: torch.Tensor | None,
) -> None:
    dense = stored(tmp_path / "dense", make_store, make_model, dense=True)
    sparse = stored(tmp_path / "sparse", make_store, make_model, top_k=PDFS)
    logits = stored(tmp_path / "logits", make_store, make_model, logits=True)
    readers = {
        "sparse": TargetReader([sparse], CPU),
        "logits": TargetReader([logits], CPU, temperature=3.0),
    }
    frames_B = torch.tensor([3, 39, 0, 17, 3])
    batch = Batch(frames_B, torch.zeros(5, 1), weights_B)
    logits_BP = normal(5, PDFS, seed=5).requires_grad_()
    probs_BP = TargetReader([dense], CPU).dense_batch(frames_B)
    expected = 0.7 * dense_soft_loss(logits_BP, probs_BP, 3.0, weights_B)
    gradient_BP = torch.autograd.grad(expected, logits_BP)[0]
    weights = DistillWeights(soft_weight=0.7, hard_weight=0.0)
    for reader in readers.values():
        loss, found_BP = value_and_gradient(DistillObjective(StoredTeacher(reader), LABELS, weights), batch)
        torch.testing.assert_close(loss, expected.detach(), rtol=2e-3, atol=0)
        torch.testing.assert_close(found_BP, gradient_BP, rtol=0, atol=2e-3 * float(gradient_BP.abs().max()))


def test_matched_logits_are_those_of_the_store_and_count_with_their_weight(
    tmp_path: Path, make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel]
) -> None:
    reader = TargetReader([stored(tmp_path / "logits", make_store, make_model, logits=True)], CPU, temperature=1.0)
    batch = Batch(torch.tensor([3, 39, 0, 17]), torch.zeros(4, 1))
    logits_BP = normal(4, PDFS, seed=5).requires_grad_()
    expected = 0.3 * logit_loss(logits_BP, reader.logits_batch(batch.frames_B))
    weights = DistillWeights(soft_weight=0.3, hard_weight=0.0)
    loss, found_BP = value_and_gradient(DistillObjective(StoredLogits(reader), LABELS, weights), batch)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(found_BP, torch.autograd.grad(expected, logits_BP)[0])
