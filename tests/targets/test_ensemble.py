"""An ensemble's soft target is the arithmetic or geometric mean of its members' distributions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.frames.store import FrameStore
from asr_kd.targets.ensemble import MEANS, ensemble_targets, mean_distribution


def logits(members: int, frames: int, pdfs: int, seed: int) -> torch.Tensor:
    return 8 * torch.randn(members, frames, pdfs, generator=torch.Generator().manual_seed(seed))


def exact(logits_MBP: torch.Tensor, temperature: float, mean: str) -> np.ndarray:
    """The definition, in float64."""
    powers = np.exp(logits_MBP.numpy().astype(np.float64) / temperature)
    probs_MBP = powers / powers.sum(axis=2, keepdims=True)
    if mean == "arithmetic":
        return np.asarray(probs_MBP.mean(axis=0))
    product_BP = np.prod(probs_MBP ** (1 / len(probs_MBP)), axis=0)
    return np.asarray(product_BP / product_BP.sum(axis=1, keepdims=True))


@given(
    members=st.integers(1, 6),
    pdfs=st.integers(2, 40),
    seed=st.integers(0, 999),
    temperature=st.sampled_from([0.5, 1.0, 2.0, 5.0, 20.0]),
    mean=st.sampled_from(MEANS),
)
@settings(max_examples=50, deadline=None)
def test_both_means_equal_their_definitions(members: int, pdfs: int, seed: int, temperature: float, mean: str) -> None:
    given_logits = logits(members, 3, pdfs, seed)
    found = mean_distribution(given_logits, temperature=temperature, mean=mean)
    np.testing.assert_allclose(found, exact(given_logits, temperature, mean), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("mean", MEANS)
def test_logits_of_any_size_give_a_distribution(mean: str) -> None:
    wild = torch.tensor([[[1e4, 0.0, -1e4]], [[-1e4, 0.0, 1e4]]])
    found = mean_distribution(wild, temperature=1.0, mean=mean)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(1))


@pytest.mark.parametrize("mean", MEANS)
def test_one_members_mean_is_its_own_softmax(mean: str) -> None:
    own = logits(1, 4, 9, seed=1)
    torch.testing.assert_close(mean_distribution(own, temperature=2.0, mean=mean), torch.softmax(own[0] / 2, dim=1))


def test_an_ensembles_targets_are_the_mean_of_its_networks_outputs(make_store, make_model) -> None:  # type: ignore[no-untyped-def]
    store: FrameStore = make_store([20])
    members = [make_model(store, seed=seed) for seed in (1, 2, 3)]
    x_BW = store.windows(slice(0, 20))
    with torch.no_grad():
        outputs = torch.stack([member.net(x_BW) for member in members])
    found = ensemble_targets(members, x_BW, temperature=2.0, mean="arithmetic")
    np.testing.assert_allclose(found, exact(outputs, 2.0, "arithmetic"), rtol=1e-4, atol=1e-7)
