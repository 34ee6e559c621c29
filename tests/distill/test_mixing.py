"""Mixtures: each of two frames of the batch, the frame in its place being the larger part."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_kd.distill.mixing import mix


@given(size=st.integers(1, 9), seed=st.integers(0, 2**40))
def test_a_mixture_is_of_its_own_frame_and_another_one(size: int, seed: int) -> None:
    # The mixture of unit vectors says itself what it is made of.
    parts = mix(torch.eye(size), seed=seed).numpy()
    np.testing.assert_allclose(parts.sum(axis=1), 1, rtol=1e-6)
    assert (parts >= 0).all() and ((parts > 0).sum(axis=1) <= 2).all()
    assert (np.diag(parts) >= 0.5).all()
    # Every frame is in one mixture beside its own, at most; not all of them are by themselves.
    assert ((parts > 0).sum(axis=0) <= 2).all()
    together = np.random.default_rng(seed).random((64, 3)).astype(np.float32)
    assert not np.array_equal(mix(torch.from_numpy(together), seed=seed).numpy(), together)


def test_parts_are_uniform_and_depend_on_the_seed_alone() -> None:
    frames = torch.eye(4000)
    mixed = mix(frames, seed=3)
    own = mixed.diag().sort().values.numpy()
    # Kolmogorov and Smirnov's distance from the uniform distribution; 0.05 has a probability below 1e-8.
    assert np.abs(own - (0.5 + 0.5 * (np.arange(4000) + 0.5) / 4000)).max() < 0.025
    assert torch.equal(mixed, mix(frames, seed=3))
    assert not torch.equal(mixed, mix(frames, seed=4))


def test_half_precision_stays_half() -> None:
    assert mix(torch.ones(4, 3, dtype=torch.bfloat16), seed=1).dtype == torch.bfloat16
