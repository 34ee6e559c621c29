"""The soft term's gradient is the paper's, dense and sparse alike."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.distill.soft_loss import dense_soft_loss, logit_loss, sparse_soft_loss
from asr_kd.train import cross_entropy


def normal(*shape: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient(logits_BP: torch.Tensor, probs_BP: torch.Tensor, temperature: float) -> torch.Tensor:
    leaf = logits_BP.clone().requires_grad_()
    (found,) = torch.autograd.grad(dense_soft_loss(leaf, probs_BP, temperature), leaf)
    return found


@given(
    frames=st.integers(1, 6),
    pdfs=st.integers(2, 30),
    temperature=st.floats(0.2, 30),
    weight=st.floats(0.01, 10),
    seed=st.integers(0, 999),
)
@settings(max_examples=50, deadline=None)
def test_the_gradient_is_t_times_the_difference_of_the_distributions(
    frames: int, pdfs: int, temperature: float, weight: float, seed: int
) -> None:
    logits_BP = normal(frames, pdfs, seed=seed, scale=4).requires_grad_()
    probs_BP = torch.softmax(normal(frames, pdfs, seed=seed + 1, scale=4) / temperature, dim=1)
    (weight * dense_soft_loss(logits_BP, probs_BP, temperature)).backward()
    q_BP = torch.softmax(logits_BP.detach() / temperature, dim=1)
    assert logits_BP.grad is not None
    torch.testing.assert_close(logits_BP.grad, weight * temperature * (q_BP - probs_BP) / frames)


def test_t_squared_keeps_the_gradients_size() -> None:
    z_BP, v_BP = normal(20, 40, seed=1), normal(20, 40, seed=2)
    sizes = [float(gradient(z_BP, torch.softmax(v_BP / t, dim=1), t).norm()) for t in (2.0, 5.0, 10.0, 20.0, 50.0)]
    # Without the factor it would fall by 25^2 = 625 from the first to the last.
    assert max(sizes) / min(sizes) < 1.5


@given(pdfs=st.integers(2, 30), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_at_a_high_temperature_it_is_logit_matching(pdfs: int, seed: int) -> None:
    """Hinton, Vinyals & Dean 2015, equations 3 and 4: the gradient of (z - v)^2 / 2P for zero-meaned logits."""
    z_BP, v_BP = normal(1, pdfs, seed=seed, scale=3), normal(1, pdfs, seed=seed + 1, scale=3)
    z_BP, v_BP = z_BP - z_BP.mean(), v_BP - v_BP.mean()
    found = gradient(z_BP, torch.softmax(v_BP / 1e5, dim=1), 1e5)
    torch.testing.assert_close(found, (z_BP - v_BP) / pdfs, rtol=1e-3, atol=1e-3)


@given(
    frames=st.integers(1, 6),
    pdfs=st.integers(2, 30),
    temperature=st.sampled_from([0.5, 1.0, 2.0, 10.0]),
    seed=st.integers(0, 999),
)
@settings(max_examples=50, deadline=None)
def test_with_everything_kept_sparse_equals_dense(frames: int, pdfs: int, temperature: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probs_BP = torch.softmax(normal(frames, pdfs, seed=seed, scale=3), dim=1)
    ids_BK = torch.stack([torch.randperm(pdfs, generator=generator) for _ in range(frames)])
    logits_BP = normal(frames, pdfs, seed=seed + 1, scale=4)
    dense, sparse = logits_BP.clone().requires_grad_(), logits_BP.clone().requires_grad_()
    expected = dense_soft_loss(dense, probs_BP, temperature)
    found = sparse_soft_loss(sparse, ids_BK, probs_BP.gather(1, ids_BK), temperature)
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(sparse.grad, dense.grad)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 7.0])
def test_the_sparse_gradient_is_that_of_its_loss(temperature: float) -> None:
    ids_BK = torch.tensor([[0, 3, 3, 5], [1, 2, 6, 4]])  # the first one holds a class twice
    probs_BK = torch.tensor([[0.5, 0.2, 0.2, 0.1], [0.7, 0.1, 0.1, 0.1]], dtype=torch.float64)
    logits_BP = normal(2, 7, seed=3, scale=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: 1.7 * sparse_soft_loss(z, ids_BK, probs_BK, temperature), logits_BP)


def test_a_weight_given_to_the_loss_is_one_multiplied_onto_it() -> None:
    ids_BK, probs_BK = torch.tensor([[1, 4]]), torch.tensor([[0.4, 0.6]]).double()
    inside, outside = (normal(1, 5, seed=1).requires_grad_() for _ in range(2))
    losses = (
        sparse_soft_loss(inside, ids_BK, probs_BK, 2.0, weight=0.3),
        0.3 * sparse_soft_loss(outside, ids_BK, probs_BK, 2.0),
    )
    torch.testing.assert_close(*losses)
    sum(losses).backward()  # type: ignore[union-attr]
    torch.testing.assert_close(inside.grad, outside.grad)


def test_rows_are_taken_a_few_at_a_time_without_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    ids_BK, probs_BK = torch.randint(0, 9, (11, 3)), torch.full((11, 3), 1 / 3, dtype=torch.float64)
    found = []
    for values in (1, 30, 10_000):
        monkeypatch.setattr(cross_entropy, "CACHE_VALUES", values)
        logits_BP = normal(11, 9, seed=1).requires_grad_()
        sparse_soft_loss(logits_BP, ids_BK, probs_BK, 2.0).backward()
        found.append(logits_BP.grad)
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_a_class_that_is_held_twice_counts_twice() -> None:
    logits_BP = normal(1, 5, seed=1)
    twice = sparse_soft_loss(logits_BP, torch.tensor([[1, 4, 4]]), torch.tensor([[0.4, 0.3, 0.3]]).double(), 2.0)
    once = sparse_soft_loss(logits_BP, torch.tensor([[1, 4]]), torch.tensor([[0.4, 0.6]]).double(), 2.0)
    torch.testing.assert_close(twice, once)


def test_logits_of_any_size_give_a_finite_loss() -> None:
    wild = torch.tensor([[3e4, 0.0, -3e4]], requires_grad=True)
    sparse_soft_loss(wild, torch.tensor([[2, 0]]), torch.tensor([[0.5, 0.5]]), 1.0).backward()
    assert wild.grad is not None
    torch.testing.assert_close(wild.grad, torch.tensor([[0.5, 0.0, -0.5]]))


def test_matching_logits_is_the_limit_of_high_temperatures() -> None:
    generator = torch.Generator().manual_seed(5)
    logits, targets = torch.randn(2, 16, 9, generator=generator, dtype=torch.float64)
    gradients = []
    for loss in (
        lambda z: dense_soft_loss(z, torch.softmax(targets / 1e4, dim=1), 1e4),
        lambda z: logit_loss(z, targets),
    ):
        leaf = logits.clone().requires_grad_()
        loss(leaf).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-7)
