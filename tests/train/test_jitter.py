"""Jitter: images shifted by whole pixels, what comes in is background."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_kd.train.jitter import Jitter


def shifted(image: np.ndarray, down: int, across: int) -> np.ndarray:
    """An image moved by loops over its pixels."""
    rows, columns = image.shape
    moved = np.zeros_like(image)
    for row in range(rows):
        for column in range(columns):
            if 0 <= row - down < rows and 0 <= column - across < columns:
                moved[row, column] = image[row - down, column - across]
    return moved


@given(rows=st.integers(3, 6), columns=st.integers(3, 6), pixels=st.integers(1, 2), seed=st.integers(0, 20))
def test_every_image_is_one_of_its_shifts(rows: int, columns: int, pixels: int, seed: int) -> None:
    images = np.random.default_rng(seed).random((8, rows, columns)).astype(np.float32)
    found = Jitter((rows, columns), pixels)(torch.from_numpy(images.reshape(8, -1)), seed=seed).numpy()
    reach = range(-pixels, pixels + 1)
    for image, moved in zip(images, found.reshape(images.shape), strict=True):
        assert any(np.array_equal(moved, shifted(image, down, across)) for down in reach for across in reach)


def test_all_shifts_are_drawn_equally_often_and_depend_on_the_seed_alone() -> None:
    image = torch.zeros(5, 5)
    image[2, 2] = 1.0
    batch = image.flatten().expand(5000, -1)
    jitter = Jitter((5, 5), 1)
    found = jitter(batch, seed=4)
    counts = found.sum(dim=0).reshape(5, 5)
    assert int(counts[1:4, 1:4].sum()) == 5000
    assert 450 < float(counts[1:4, 1:4].min()) <= float(counts[1:4, 1:4].max()) < 670
    assert torch.equal(found, jitter(batch, seed=4))
    assert not torch.equal(found, jitter(batch, seed=5))
