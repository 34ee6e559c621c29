"""The common distribution of a generalist and its specialists: the minimum of the paper's sum of divergences.

Legend: B frames, P pdfs, M specialists.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from asr_kd.errors import UsageError
from asr_kd.specialists.inference import FusionOptions, active_specialists, fuse
from asr_kd.specialists.subset import Subset

Case = tuple[Tensor, list[Tensor], list[Subset]]


def random_case(seed: int, *, frames: int = 6, pdfs: int = 7, specialists: int = 3, sharpness: float = 2.0) -> Case:
    """Random distributions of a generalist and of specialists with overlapping subsets, float64."""
    rng = np.random.default_rng(seed)
    subsets = [
        Subset(tuple(sorted(rng.choice(pdfs, size=rng.integers(1, pdfs), replace=False).tolist())), pdfs)
        for _ in range(specialists)
    ]
    generalist = torch.softmax(sharpness * torch.from_numpy(rng.standard_normal((frames, pdfs))), dim=1)
    given = [
        torch.softmax(sharpness * torch.from_numpy(rng.standard_normal((frames, len(s.pdfs) + 1))), dim=1)
        for s in subsets
    ]
    return generalist, given, subsets


def objective(q_BP: Tensor, case: Case, active_BM: Tensor) -> Tensor:
    """F(q) ``[B]`` as the paper writes it."""
    generalist, specialists, subsets = case
    total_B = (generalist * (generalist.log() - q_BP.log())).sum(dim=1)
    for m, (given_BC, subset) in enumerate(zip(specialists, subsets, strict=True)):
        collapsed_BC = subset.collapse(q_BP.log())
        total_B = total_B + active_BM[:, m] * (given_BC * (given_BC.log() - collapsed_BC)).sum(dim=1)
    return total_B


def active(case: Case, num_best: int) -> Tensor:
    inside = torch.stack([torch.from_numpy(subset.mask()) for subset in case[2]])
    return active_specialists(case[0], inside, num_best).double()


def by_gradient_descent(case: Case, num_best: int, steps: int = 1500) -> Tensor:
    """q = softmax(z), z by gradient descent from the generalist's logits: the paper's way."""
    logits = case[0].log().clone().requires_grad_()
    active_BM = active(case, num_best)
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(objective(torch.softmax(logits, dim=1), case, active_BM).sum(), logits)
        with torch.no_grad():
            logits -= 0.5 * gradient
    return torch.softmax(logits.detach(), dim=1)


def by_scipy(case: Case, frame: int, active_BM: Tensor) -> np.ndarray:
    """The minimum for one frame by a general optimiser over the logits."""
    alone = case[0][frame : frame + 1], [given[frame : frame + 1] for given in case[1]], case[2]

    def value_and_gradient(z: np.ndarray) -> tuple[float, np.ndarray]:
        logits = torch.from_numpy(z[None]).requires_grad_()
        value = objective(torch.softmax(logits, dim=1), alone, active_BM[frame : frame + 1]).sum()
        value.backward()
        assert logits.grad is not None
        return value.item(), logits.grad[0].numpy()

    start = case[0][frame].log().numpy()
    found = minimize(value_and_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 2000})
    return np.exp(found.x) / np.exp(found.x).sum()


@pytest.mark.parametrize("num_best", [1, 2, 7])
def test_it_is_the_minimum_that_the_papers_gradient_descent_reaches(num_best: int) -> None:
    # Mild distributions: from sure ones the descent has not arrived after thousands of steps.
    case = random_case(0, frames=20, sharpness=0.7)
    found = fuse(*case, num_best=num_best)
    assert torch.allclose(found, by_gradient_descent(case, num_best), atol=1e-4, rtol=0)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_minimum_that_a_general_optimiser_finds(seed: int) -> None:
    case = random_case(seed, frames=3, specialists=5, sharpness=3.0)
    found, active_BM = fuse(*case, num_best=3), active(case, 3)
    for frame in range(3):
        assert np.abs(found[frame].numpy() - by_scipy(case, frame, active_BM)).max() < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_single_precision_and_sure_models_do_not_move_the_minimum(seed: int) -> None:
    case = random_case(seed, frames=4, specialists=6, sharpness=6.0)
    single = case[0].float(), [given.float() for given in case[1]], case[2]
    found, active_BM = fuse(*single, num_best=3).double(), active(case, 3)
    for frame in range(4):
        assert np.abs(found[frame].numpy() - by_scipy(case, frame, active_BM)).max() < 1e-4


@examples(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_no_small_change_of_it_is_better(seed: int, num_best: int) -> None:
    case = random_case(seed)
    found, active_BM = fuse(*case, num_best=num_best), active(case, num_best)
    assert torch.allclose(found.sum(dim=1), torch.ones(len(found), dtype=torch.float64))
    changes = torch.randn(10, *found.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    best_B = objective(found, case, active_BM)
    for change_BP in changes:
        moved = torch.softmax(found.log() + 0.05 * change_BP, dim=1)
        assert (objective(moved, case, active_BM) >= best_B - 1e-6).all()


def test_where_no_specialist_is_asked_the_generalist_stands() -> None:
    generalist = torch.tensor([[0.7, 0.2, 0.1]])
    found = fuse(generalist, [torch.tensor([[0.1, 0.8, 0.1]])], [Subset((1, 2), 3)], num_best=1)
    assert torch.equal(found, generalist)


def test_with_one_specialist_it_is_the_mean_and_the_rest_in_the_generalists_proportion() -> None:
    generalist = torch.tensor([[0.5, 0.2, 0.2, 0.1]])
    found = fuse(generalist, [torch.tensor([[0.2, 0.4, 0.4]])], [Subset((0, 1), 4)], num_best=1)
    assert torch.allclose(found, torch.tensor([[0.35, 0.3, 0.35 * 2 / 3, 0.35 / 3]]))


def test_specialists_over_the_same_states_that_agree_with_the_generalist_change_nothing() -> None:
    generalist = random_case(1)[0]
    subsets = [Subset((0, 1, 2), 7), Subset((2, 5), 7)]
    given = [subset.collapse(generalist.log()).exp() for subset in subsets]
    assert torch.allclose(fuse(generalist, given, subsets, num_best=7), generalist, atol=1e-9)


def test_a_state_the_generalist_gives_nothing_can_still_win() -> None:
    generalist = torch.tensor([[1.0, 0.0, 0.0]])
    found = fuse(generalist, [torch.tensor([[0.1, 0.9, 0.0]])], [Subset((0, 1), 3)], num_best=1)
    assert torch.allclose(found, torch.tensor([[0.55, 0.45, 0.0]]))


def test_mass_for_states_that_have_none_goes_where_it_can() -> None:
    generalist = torch.tensor([[1.0, 0.0, 0.0]])
    found = fuse(generalist, [torch.tensor([[0.1, 0.9]])], [Subset((0,), 3)], num_best=1)
    assert torch.allclose(found, generalist)


def test_a_specialist_is_asked_where_its_states_meet_the_n_most_probable_ones() -> None:
    generalist = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.0, 0.1, 0.2, 0.7]])
    inside = torch.tensor([[True, False, False, False], [False, True, True, False], [False, False, False, True]])
    asked = [active_specialists(generalist, inside, n).int().tolist() for n in (1, 2)]
    assert asked == [[[1, 0, 0], [0, 0, 1]], [[1, 1, 0], [0, 1, 1]]]


def test_n_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="--num-best"):
        FusionOptions(num_best=0)
