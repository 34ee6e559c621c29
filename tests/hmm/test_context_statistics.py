"""Statistics of hidden activations over a store that is larger than memory."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from asr_kd.frames.store import FrameStore
from asr_kd.hmm import context_statistics
from asr_kd.nets.acoustic_model import AcousticModel

CPU = torch.device("cpu")


def test_of_a_large_store_the_projection_holds_the_rows_it_is_estimated_on_and_no_others(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_statistics, "CHUNK_FRAMES", 16)
    monkeypatch.setattr(context_statistics, "PROJECTION_FRAMES", 32)
    store = make_store([40, 56])
    model = make_model(store)
    labelled = np.arange(96) % 4 > 0
    held: list[torch.Tensor] = []
    join = torch.cat

    def watched(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        held.extend(parts)
        return join(parts)

    monkeypatch.setattr(torch, "cat", watched)
    mean_H, _ = context_statistics._projection(model, store, labelled, CPU)
    assert [part.untyped_storage().nbytes() for part in held] == [part.nbytes for part in held]
    # Every third labelled frame of each chunk of 16.
    rows = np.concatenate([np.flatnonzero(labelled[begin : begin + 16])[::3] + begin for begin in range(0, 96, 16)])
    with torch.inference_mode():
        expected = model.net.layers[:-1](store.windows(slice(0, 96))[rows])
    torch.testing.assert_close(mean_H, expected.mean(dim=0))


def test_the_projection_is_onto_the_main_directions_each_with_variance_one(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_statistics, "DIMENSIONS", 3)
    store = make_store([200, 100])
    model = make_model(store)
    mean_H, projection_HD = context_statistics._projection(model, store, np.ones(300, dtype=bool), CPU)
    with torch.inference_mode():
        hidden_NH = model.net.layers[:-1](store.windows(slice(0, 300))).numpy()
    projected_ND = (hidden_NH - mean_H.numpy()) @ projection_HD.numpy()
    np.testing.assert_allclose(np.cov(projected_ND.T), np.eye(3), atol=1e-3)
    *_, directions_KH = np.linalg.svd(hidden_NH - hidden_NH.mean(axis=0), full_matrices=False)
    units_DH = projection_HD.numpy().T / np.linalg.norm(projection_HD.numpy(), axis=0)[:, None]
    np.testing.assert_allclose(np.abs(units_DH @ directions_KH[:3].T), np.eye(3)[::-1], atol=1e-2)
