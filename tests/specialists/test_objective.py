"""What a specialist is trained for: on biased batches, it learns the true distribution."""

import numpy as np
import pytest
import torch
from torch import Tensor

from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.specialists.objective import DustbinTargets, RegularizedTargets
from asr_kd.specialists.subset import Subset
from asr_kd.train.frame_set import Batch

SUBSET = Subset((1, 2), 4)
INPUTS = 3  # kinds of frames, each with a distribution of labels of its own
TRUE = torch.tensor([[0.5, 0.2, 0.1, 0.2], [0.1, 0.05, 0.05, 0.8], [0.3, 0.3, 0.1, 0.3]], dtype=torch.float64)
FREQUENCY = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)


class Teacher:
    """A generalist that knows the true distribution of every kind of frame."""

    def logits(self, inputs_BW: Tensor) -> Tensor:
        return TRUE[inputs_BW[:, 0].long()].log()


def biased_batch(seed: int = 0, half: int = 60_000) -> tuple[Batch, Tensor, float]:
    """Half of the frames from the subset, half from outside; each frame's kind is its input. Labels, and r."""
    joint = (FREQUENCY[:, None] * TRUE).numpy()
    inside = np.tile(SUBSET.mask(), INPUTS)
    rng = np.random.default_rng(seed)
    cells = []
    for mask in (inside, ~inside):
        weights = np.where(mask, joint.ravel(), 0)
        cells.append(rng.choice(joint.size, size=half, p=weights / weights.sum()))
    kind, labels = np.divmod(np.concatenate(cells), SUBSET.num_pdfs)
    share = joint.ravel()[inside].sum()
    inputs = torch.from_numpy(kind[:, None].astype(np.float32))
    return Batch(torch.arange(2 * half), inputs), torch.from_numpy(labels.astype(np.int32)), (1 - share) / share


def fitted(objective: DustbinTargets | RegularizedTargets, batch: Batch, classes: int) -> Tensor:
    """The distribution of each kind of frame that minimises the loss, a free logit for each."""
    logits = torch.zeros(INPUTS, classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = torch.stack(list(objective.losses(logits[batch.inputs_BW[:, 0].long()], batch).values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[arg-type]
    return torch.softmax(logits.detach(), dim=1)


def test_with_a_dustbin_it_learns_the_true_distribution_from_biased_batches() -> None:
    batch, labels, ratio = biased_batch()
    classes = torch.from_numpy(SUBSET.classes(labels.numpy()))
    found = fitted(DustbinTargets(classes, oversampling=ratio), batch, 3)
    assert torch.allclose(found, SUBSET.collapse(TRUE.log()).exp(), atol=0.01)


def test_without_the_correction_it_would_learn_the_biased_one() -> None:
    batch, labels, ratio = biased_batch()
    classes = torch.from_numpy(SUBSET.classes(labels.numpy()))
    true = SUBSET.collapse(TRUE.log()).exp()
    uncorrected = fitted(DustbinTargets(classes, oversampling=1.0), batch, 3)
    # The paper's correction, after training: log r onto the dustbin's logit.
    corrected = torch.softmax(uncorrected.log() + torch.tensor([0, 0, np.log(ratio)]), dim=1)
    assert (uncorrected - true).abs().max() > 0.1
    assert torch.allclose(corrected, true, atol=0.01)


def test_regularized_it_learns_the_true_distribution_over_all_states() -> None:
    batch, labels, ratio = biased_batch()
    inside = torch.from_numpy(SUBSET.mask())
    objective = RegularizedTargets(Teacher(), labels, inside, oversampling=ratio)  # type: ignore[arg-type]
    assert torch.allclose(fitted(objective, batch, 4), TRUE, atol=0.01)


def test_regularized_where_the_labels_are_the_teachers_nothing_outside_pulls(
    make_store: object, make_model: object
) -> None:
    store: FrameStore = make_store([40])  # type: ignore[operator]
    model: AcousticModel = make_model(store, num_pdfs=4)  # type: ignore[operator]
    batch = Batch(torch.arange(40), store.windows(slice(0, 40)))
    labels = torch.tensor([1, 3], dtype=torch.int32).repeat_interleave(20)
    logits = model.logits(batch.inputs_BW).clone().requires_grad_()
    objective = RegularizedTargets(model, labels, torch.from_numpy(SUBSET.mask()), oversampling=1.0)
    soft = objective.losses(logits, batch)["soft"]
    (gradient,) = torch.autograd.grad(soft, logits)
    assert not gradient[:20].any()
    gradient = gradient[20:]
    # Within the states outside, the start is the teacher: all that pulls is that the label lies outside.
    outside = gradient[:, [0, 3]] / torch.softmax(logits.detach()[20:], dim=1)[:, [0, 3]]
    assert torch.allclose(outside[:, 0], outside[:, 1], rtol=1e-3)
    assert (gradient[:, [0, 3]] < 0).all()
    assert (gradient[:, [1, 2]] > 0).all()


@pytest.mark.parametrize("outside", [0, 3])
def test_regularized_the_label_of_a_frame_outside_does_not_matter(outside: int) -> None:
    batch = Batch(torch.arange(2), torch.zeros(2, 1))
    labels = torch.tensor([1, outside], dtype=torch.int32)
    objective = RegularizedTargets(
        Teacher(),  # type: ignore[arg-type]
        labels,
        torch.from_numpy(SUBSET.mask()),
        oversampling=3.0,
    )
    losses = objective.losses(TRUE[:2].log(), batch)
    assert losses["soft"].item() == pytest.approx(0.5 * expected_soft(), rel=1e-6)


def expected_soft() -> float:
    """Of one frame of the first kind with the second kind's logits and r = 3, by hand."""
    q = TRUE[1] * torch.tensor([1, 3, 3, 1])
    q = q / q.sum()
    p = TRUE[0] * torch.tensor([1, 0, 0, 1])
    p = p / p.sum()
    return -float(p[0] * q[0].log() + p[3] * q[3].log())


def test_regularized_a_step_asks_the_device_for_no_value(make_store: object, make_model: object) -> None:
    gpu = torch.device("meta")  # stands for one: what lies there has no values to wait for
    store: FrameStore = make_store([40])  # type: ignore[operator]
    model: AcousticModel = make_model(store, num_pdfs=4)  # type: ignore[operator]
    labels, inside = torch.zeros(40, dtype=torch.int32, device=gpu), torch.from_numpy(SUBSET.mask()).to(gpu)
    objective = RegularizedTargets(model.to(gpu, "bf16"), labels, inside, oversampling=2.0)
    batch = Batch(torch.arange(40, device=gpu), store.windows(slice(0, 40), gpu))
    assert {loss.device for loss in objective.losses(torch.zeros(40, 4, device=gpu), batch).values()} == {gpu}
